// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
)

// probesFile lies in a patch folder and says how to see the patch from
// outside.
const probesFile = "probes.json"

// Probe is a file in the guest whose content shows whether the old or the new
// code runs: read before the patch it must match Before, while it is applied
// After, and after the revert Before again.
type Probe struct {
	// Read is the file's path in the guest: "/proc/cmdline".
	Read string `json:"read"`
	// Before and After are regular expressions (RE2).
	Before string `json:"before"`
	After  string `json:"after"`
}

// Old says whether text is the old code's, New whether it is the new code's.
// That both expressions compile was checked when the probe was read.
func (p Probe) Old(text string) bool { return regexp.MustCompile(p.Before).MatchString(text) }

// New says whether text is the new code's.
func (p Probe) New(text string) bool { return regexp.MustCompile(p.After).MatchString(text) }

func readProbes(path string) ([]Probe, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &InputError{path, err.Error(), err}
	}
	var probes []Probe
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&probes); err != nil {
		return nil, &InputError{path, fmt.Sprintf("not a list of probes: %v", err), err}
	}
	for i, p := range probes {
		if p.Read == "" || p.Read[0] != '/' {
			return nil, &InputError{path, fmt.Sprintf("probe %d: \"read\" must be an absolute path in the guest", i+1), nil}
		}
		for name, re := range map[string]string{"before": p.Before, "after": p.After} {
			if re == "" {
				return nil, &InputError{path, fmt.Sprintf("probe %d: %q is missing", i+1, name), nil}
			}
			if _, err := regexp.Compile(re); err != nil {
				return nil, &InputError{path, fmt.Sprintf("probe %d: %q: %v", i+1, name, err), err}
			}
		}
	}
	return probes, nil
}
