// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// errLong is for a line over its limit.
var errLong = errors.New("line too long")

// readLine is the next line without its newline; at most limit bytes are held.
// A line that ends without newline is io.ErrUnexpectedEOF, none is io.EOF.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, errLong
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// encodeLine is v as a line, bounded.
func encodeLine(v any) ([]byte, error) {
	line, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(line)+1 > MaxLine {
		return nil, fmt.Errorf("message of %d bytes: %w, the limit is %d", len(line), errLong, MaxLine)
	}
	return append(line, '\n'), nil
}

// chunkSize is the most that one chunk of a file holds.
const chunkSize = 32 << 10

// chunk encodes a chunk of a file: length, bytes. An empty one ends the file.
func chunk(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b))), b...)
}

// readChunk reads one into buf of chunkSize bytes; it is empty at the file's end.
func readChunk(r io.Reader, buf []byte) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, unexpected(err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > chunkSize {
		return nil, fmt.Errorf("chunk of %d bytes, the limit is %d", n, chunkSize)
	}
	_, err := io.ReadFull(r, buf[:n])
	return buf[:n], unexpected(err)
}

// unexpected is err, an EOF in the middle of something said so.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
