// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// complaints are the forms of a line that tells why a build failed, most
// telling first: what a compiler, a linker, another tool says, and at last
// make itself, which only repeats that something failed.
var complaints = []*regexp.Regexp{
	regexp.MustCompile(`(?m)^\S+:\d+:(?:\d+:)? (?:fatal )?error: .*$`),
	regexp.MustCompile(`(?m)^\S*(?:ld|ld\.bfd): .*$|^.*: undefined reference to .*$|^ERROR: modpost: .*$|^FAILED.*$|^\S*Kconfig\S*:\d+: (?:can't|syntax|error).*$`),
	regexp.MustCompile(`(?m)^(?:\S+:\d+: )?\*\*\* .*$|^.*\*\*\* .*Stop\..*$`),
	regexp.MustCompile(`(?m)^(?:Error|ERROR|error)\b.*$|^\S+: .*(?:not found|No such file).*$`),
	regexp.MustCompile(`(?m)^.*\*\*\* .*Error \d+.*$`),
}

// firstComplaint is the line of a log that tells why the build failed.
func firstComplaint(log string) string {
	for _, c := range complaints {
		if line := c.FindString(log); line != "" {
			return strings.TrimSpace(line)
		}
	}
	log = strings.TrimSpace(log)
	return log[strings.LastIndexByte(log, '\n')+1:]
}

// readLog reads both ends of a log, which has no bound on the disk.
func readLog(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var log toolroot.Log
	_, err = io.Copy(&log, f)
	return log.String(), err
}

// explained turns what make left behind into an error for people.
func (b *build) explained(ctx context.Context, err error) error {
	var exit *toolroot.ExitError
	if err == nil || ctx.Err() != nil || !errors.As(err, &exit) {
		return err
	}
	text, readErr := readLog(b.log.Name())
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	if strings.Contains(text, "No space left on device") {
		return store.DiskFull(fmt.Errorf("build %s: %w (what is done is kept; `%s` goes on from there)", b.plan.what(), syscall.ENOSPC, b.plan.spec.command()), b.p.Store.Dir)
	}
	// The user knows the tree by another place than the tool root does.
	place := ""
	if b.plan.spec.Tree != "" {
		place = b.plan.origin.place + "/"
	}
	log := strings.ReplaceAll(text, insideSource+"/", place)
	return &BuildError{Kernel: strings.TrimPrefix(b.plan.what(), "kernel "), Tree: b.plan.origin.title, First: firstComplaint(log), Log: b.log.Name()}
}
