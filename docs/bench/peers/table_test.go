// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Ratios are taken within a round: the third is twice as slow for all, and
// leaves no trace in them.
const rounds = `1	floor	QEMU	6.1	1.0	1.0
1	fork	fork	6.1	0.1	0.05
1	vmtest	vmtest	6.1	4.0	5.0
2	floor	QEMU	6.1	1.1	1.1
2	vmtest	vmtest	6.1	4.4	5.5
3	floor	QEMU	6.1	2.0	2.0
3	vmtest	vmtest	6.1	8.0	10.0
1	vmtest	vmtest	6.12	3.0	3.0
`

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "samples")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	if err := table(write(t, rounds), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| 6.1 | QEMU | 1.10 (1.00-2.00) | 1.10 (1.00-2.00) | 1 | 1 | 10 | 20 | - | - | 3 |",
		"| 6.1 | fork | 0.100 (0.100-0.100) | 0.050 (0.050-0.050) | 0.1 | 0.05 | 1 | 1 | - | - | 1 |",
		"| 6.1 | vmtest | 4.40 (4.00-8.00) | 5.50 (5.00-10.00) | 4 | 5 | 40 | 100 | - | - | 3 |",
		"| 6.12 | vmtest | 3.00 (3.00-3.00) | 3.00 (3.00-3.00) | - | - | - | - | - | - | 1 |",
	} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("no line %q in\n%s", want, &out)
		}
	}
}

func TestTableRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":       "",
		"missing field": "1\tfloor\tQEMU\t6.1\t1.0\n",
		"no number":     "1\tfloor\tQEMU\t6.1\tfast\t1.0\n",
		"no wall":       "1\tfloor\tQEMU\t6.1\t1.0\t\n",
		"zero":          "1\tfloor\tQEMU\t6.1\t0\t1.0\n",
	} {
		if err := table(write(t, text), &bytes.Buffer{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestShort(t *testing.T) {
	var out bytes.Buffer
	if err := short(write(t, rounds+"1\tboot\tboot\t6.1\t1.0\t1.5\n1\tqemu\tQEMU\t6.1\t0.1\t0.025\n"), &out); err != nil {
		t.Fatal(err)
	}
	want := "- 6.1: our cold boot takes 30 times the wall time of our fork, our fork 2 times that of a bare QEMU's start and exit (- where a QEMU waits).\n- 6.12: "
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("%s\nis not\n%s", &out, want)
	}
}
