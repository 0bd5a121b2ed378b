// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// signalling is what the core logs when it signals the tasks that remain;
// kernel/livepatch/transition.c, klp_send_signals, 5.1 to 7.x.
const signalling = "livepatch: signaling remaining tasks"

// maxText bounds the text of a record; the kernel's own bound is 2 KiB with
// continuation.
const maxText = 4 << 10

// OpenKernelLog opens the kernel's log at its end.
func OpenKernelLog() (*os.File, error) {
	f, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// KernelLog emits the records that come from f, until ctx ends, and closes
// it. It blocks.
func KernelLog(ctx context.Context, f *os.File, emit func(observe.Event)) error {
	defer f.Close()
	defer context.AfterFunc(ctx, func() { f.Close() })()
	return readKernelLog(ctx, f, emit)
}

// readKernelLog reads records, one a Read, as /dev/kmsg gives them
// (Documentation/ABI/testing/dev-kmsg).
func readKernelLog(ctx context.Context, r io.Reader, emit func(observe.Event)) error {
	buf := make([]byte, 16<<10)
	var last uint64
	overwritten := false // what came before the first record
	for {
		n, err := r.Read(buf)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, syscall.EPIPE):
			overwritten = last == 0 // else the next number says how many
			continue
		case err != nil:
			return err
		}
		rec, ok := parseRecord(buf[:n])
		if !ok {
			continue
		}
		t := now()
		switch {
		case last != 0 && rec.Seq > last+1:
			emit(observe.Event{T: t, Kind: observe.KindLost, Lost: &observe.Lost{Source: observe.LostKernelLog, N: rec.Seq - last - 1}})
		case overwritten:
			emit(observe.Event{T: t, Kind: observe.KindLost, Lost: &observe.Lost{Source: observe.LostKernelLog}})
			overwritten = false
		}
		last = rec.Seq
		emit(observe.Event{T: t, Kind: observe.KindKernelLog, KernelLog: &rec})
		if rec.Facility == 0 && strings.Contains(rec.Text, signalling) {
			emit(observe.Event{T: t, Kind: observe.KindSignal, Signal: &observe.Signal{Source: "klog"}})
		}
	}
}

// parseRecord reads "priority,sequence,time,flags[,…];text\n" and drops the
// dictionary lines behind it.
func parseRecord(b []byte) (observe.KernelLog, bool) {
	var rec observe.KernelLog
	head, text, ok := bytes.Cut(b, []byte{';'})
	if !ok {
		return rec, false
	}
	fields := bytes.Split(head, []byte{','})
	if len(fields) < 3 {
		return rec, false
	}
	priority, err1 := strconv.ParseUint(string(fields[0]), 10, 16)
	seq, err2 := strconv.ParseUint(string(fields[1]), 10, 64)
	us, err3 := strconv.ParseInt(string(fields[2]), 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return rec, false
	}
	text, _, _ = bytes.Cut(text, []byte{'\n'})
	text = text[:min(len(text), maxText)]
	return observe.KernelLog{Seq: seq, Level: int(priority & 7), Facility: int(priority >> 3), US: us, Text: strings.ToValidUTF8(string(text), "\ufffd")}, true
}
