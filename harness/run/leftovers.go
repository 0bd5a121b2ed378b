// SPDX-License-Identifier: Apache-2.0

package run

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/switchyard-project/switchyard/harness/debugger"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/harness/vm"
)

// DumpFile is a guest's memory in its run's folder: see Guest.Dump.
const DumpFile = "memory.elf"

// Names in the folder of a run that are of no other file's constant.
const (
	futuresDir  = "futures"
	failedForks = "failed-fork-" // and a number
	gdbSocket   = "gdb.sock"
)

// leftovers are all names that a run can leave in its folder, files and folders,
// as patterns of filepath.Match: whoever has a run leave another one adds it
// here.
var leftovers = slices.Concat(
	[]string{
		observe.RunFile, observe.TimelineFile, report.TraceFile, bundle.FileName,
		planFile, resultsFile, RecordingFile, logFile, initrdFile, kernelFile,
		DumpFile, gdbSocket, futuresDir, "snapshot-" + bootLogs, failedForks + "[0-9]*",
	},
	vm.Leftovers, debugger.Files,
)

// Clear removes from dir what an earlier run left there, which must not pass
// for the next one's: a bundle or a recording of it would have `switchyard repro`
// do the wrong run. Anything else in dir stays.
func Clear(dir string) error {
	all, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range all {
		if isLeftover(e.Name()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

func isLeftover(name string) bool {
	return slices.ContainsFunc(leftovers, func(pattern string) bool {
		ok, _ := filepath.Match(pattern, name)
		return ok
	})
}
