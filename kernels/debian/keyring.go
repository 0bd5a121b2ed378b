// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

//go:embed keys/*.gpg
var keyFiles embed.FS

// Keyring holds the keys that may sign the release files of each part.
type Keyring map[part]openpgp.EntityList

// DebianKeys are Debian's archive keys: see keys/README.md for where they
// come from.
func DebianKeys() (Keyring, error) {
	ring := Keyring{}
	names, err := fs.Glob(keyFiles, "keys/*.gpg")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		data, err := keyFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		keys, err := openpgp.ReadKeyRing(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("archive key %s: %w", name, err)
		}
		p := archivePart
		if strings.Contains(name, "-security-") {
			p = securityPart
		}
		ring[p] = append(ring[p], keys...)
	}
	return ring, nil
}

// verify gives the signed text of a clear-signed file, and nothing of what
// stands around it.
func verify(keys openpgp.EntityList, file []byte, config *packet.Config) ([]byte, error) {
	block, _ := clearsign.Decode(file)
	if block == nil {
		return nil, fmt.Errorf("it is not a signed release file (an error page of a proxy or a login page of a network perhaps)")
	}
	_, err := block.VerifySignature(keys, config)
	if errors.Is(err, pgperrors.ErrSignatureExpired) || errors.Is(err, pgperrors.ErrKeyExpired) {
		return nil, fmt.Errorf("its signature is not valid at %s: %w; is this machine's clock right?", config.Now().UTC().Format(time.RFC1123), err)
	}
	if err != nil {
		return nil, fmt.Errorf("its signature is not of Debian's archive keys: %w", err)
	}
	return block.Plaintext, nil
}
