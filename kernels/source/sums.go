// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bufio"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// autosigner is the key that signs kernel.org's checksum files: see
// keys/README.md.
//
//go:embed keys/autosigner.asc
var autosigner []byte

// autosignerFingerprint is what kernel.org and others publish of it.
const autosignerFingerprint = "b8868c80ba62a1fffaf5fda9632d3a06589da6b1"

// KernelOrgKeys are the keys that may sign the checksums of kernel.org's
// releases.
func KernelOrgKeys() ([]*packet.PublicKey, error) {
	block, err := armor.Decode(bytes.NewReader(autosigner))
	if err != nil {
		return nil, fmt.Errorf("kernel.org's checksum key: %w", err)
	}
	p, err := packet.Read(block.Body)
	if err != nil {
		return nil, fmt.Errorf("kernel.org's checksum key: %w", err)
	}
	key, ok := p.(*packet.PublicKey)
	if !ok || fmt.Sprintf("%x", key.Fingerprint) != autosignerFingerprint {
		return nil, fmt.Errorf("kernel.org's checksum key is not %s", autosignerFingerprint)
	}
	return []*packet.PublicKey{key}, nil
}

// signedText gives the signed text of a clear-signed file, and nothing of what
// stands around it.
func signedText(keys []*packet.PublicKey, file []byte) ([]byte, error) {
	block, _ := clearsign.Decode(file)
	if block == nil {
		return nil, errors.New("it is not a signed checksum file (an error page of a proxy or a login page of a network perhaps)")
	}
	for {
		p, err := packet.Read(block.ArmoredSignature.Body)
		if errors.Is(err, io.EOF) {
			return nil, errors.New("its signature is not of kernel.org's key")
		}
		if err != nil {
			return nil, fmt.Errorf("its signature cannot be read: %w", err)
		}
		sig, ok := p.(*packet.Signature)
		if !ok || !sig.Hash.Available() {
			continue
		}
		for _, key := range keys {
			if sig.IssuerKeyId == nil || *sig.IssuerKeyId != key.KeyId {
				continue
			}
			h, err := sig.PrepareVerify()
			if err != nil {
				return nil, fmt.Errorf("its signature cannot be read: %w", err)
			}
			h.Write(block.Bytes)
			if err := key.VerifySignature(h, sig); err != nil {
				return nil, fmt.Errorf("its signature is wrong: %w", err)
			}
			return block.Plaintext, nil
		}
	}
}

var sumLine = regexp.MustCompile(`^([0-9a-f]{64}) [ *](\S+)$`)

// parseSums reads a file as sha256sum writes it: checksum by file name.
func parseSums(text []byte) map[string]string {
	sums := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if m := sumLine.FindStringSubmatch(strings.TrimSpace(lines.Text())); m != nil {
			sums[m[2]] = m[1]
		}
	}
	return sums
}
