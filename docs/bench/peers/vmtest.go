// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/hugelgupf/vmtest/qemu"
	"github.com/hugelgupf/vmtest/qemu/quimage"
	"github.com/u-root/mkuimage/uimage"
	"github.com/u-root/uio/llog"
)

// done is what the guest program says at its end.
const done = "PEER-DONE"

// image makes the initramfs the way vmtest does, with u-root's init, its
// shutdownafter and our guest program. vmtest's own scripts travel by 9p,
// which Debian's cloud kernels do not have, so the module is a file of the
// initramfs.
//
// vmtest makes the image anew for every test, in seconds. Here it is made
// once, outside the measurement, which is to vmtest's advantage.
func image(initramfs, module, text string) error {
	dir, err := os.MkdirTemp("", "peers-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	_, err = qemu.OptionsFor(qemu.ArchAMD64, quimage.WithUimage(llog.Default(), initramfs,
		uimage.WithTempDir(dir),
		uimage.WithInit("init"),
		uimage.WithUinit("shutdownafter", "--", "guest", "-text", text, "/cmdline.ko"),
		uimage.WithBusyboxCommands(
			"github.com/u-root/u-root/cmds/core/init",
			"github.com/hugelgupf/vmtest/vminit/shutdownafter",
			"github.com/switchyard-project/switchyard/docs/bench/peers/guest",
		),
		uimage.WithFiles(module+":cmdline.ko"),
	))
	return err
}

// drive boots the kernel by vmtest's API, waits for the guest's word and for
// the guest to be off. The kernel arguments are those of vmtest's README; 1
// GiB of memory (in command) is what its runvmtest gives.
func drive(command, kernel, initramfs, timeout string) error {
	limit, err := time.ParseDuration(timeout)
	if err != nil {
		return err
	}
	vm, err := qemu.StartContext(context.Background(), qemu.ArchAMD64,
		qemu.WithQEMUCommand(command),
		qemu.WithKernel(kernel),
		qemu.WithInitramfs(initramfs),
		qemu.WithAppendKernel("console=ttyS0 earlyprintk=ttyS0"),
		qemu.WithVMTimeout(limit),
		qemu.LogSerialByLine(qemu.DefaultPrint("vm", func(format string, args ...any) {
			fmt.Printf(format+"\n", args...)
		})),
	)
	if err != nil {
		return err
	}
	_, said := vm.Console.ExpectString(done)
	if err := vm.Wait(); err != nil {
		return fmt.Errorf("the guest of vmtest: %w", err)
	}
	if said != nil {
		return fmt.Errorf("the guest of vmtest never said %s: %w", done, said)
	}
	return nil
}
