// SPDX-License-Identifier: Apache-2.0

// Command peers is what docs/bench/peers.sh needs beside the shell: it meters
// a command with all that it started, drives the same work with vmtest, and
// makes the table. It is a module of its own, so that the things it compares
// Switchyard with are no dependencies of Switchyard.
package main

import (
	"fmt"
	"os"
)

const usage = `usage:
  peers meter OUTPUT COMMAND...                 run it; "cpu-s wall-s" go into OUTPUT
  peers image INITRAMFS MODULE TEXT             make the u-root initramfs that vmtest boots
  peers vmtest QEMU KERNEL INITRAMFS TIMEOUT    boot it and wait for the guest's word
  peers table SAMPLES                           the samples as a table in Markdown
  peers short SAMPLES                           the ratios that matter, a line for each kernel
`

func main() {
	var err error
	switch a := os.Args[1:]; {
	case len(a) >= 3 && a[0] == "meter":
		err = meter(a[1], a[2:])
	case len(a) == 4 && a[0] == "image":
		err = image(a[1], a[2], a[3])
	case len(a) == 5 && a[0] == "vmtest":
		err = drive(a[1], a[2], a[3], a[4])
	case len(a) == 2 && a[0] == "table":
		err = table(a[1], os.Stdout)
	case len(a) == 2 && a[0] == "short":
		err = short(a[1], os.Stdout)
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}
