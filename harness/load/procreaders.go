// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"sync"
	"time"
)

var procReaders = Load{
	Name: "proc-readers",
	What: "N tasks read a file of /proc over and over and check that its content is whole and one of those that are right",
	N:    2,
	Touches: []Touch{
		{Pattern: "vmlinux:cmdline_proc_show", Path: "/proc/cmdline"},
		{Pattern: "vmlinux:version_proc_show", Path: "/proc/version"},
		{Pattern: "vmlinux:meminfo_proc_show", Path: "/proc/meminfo", Variants: -1},
		{Pattern: "vmlinux:loadavg_proc_show", Path: "/proc/loadavg", Variants: -1},
		{Pattern: "vmlinux:uptime_proc_show", Path: "/proc/uptime", Variants: -1},
		{Pattern: "vmlinux:show_stat", Path: "/proc/stat", Variants: -1},
		// What every reader of a file under /proc goes through.
		{Pattern: "vmlinux:proc_reg_read*", Path: "/proc/cmdline"},
		{Pattern: "vmlinux:seq_read*", Path: "/proc/cmdline"},
		{Pattern: "vmlinux:single_open", Path: "/proc/cmdline"},
		{Pattern: "vmlinux:vfs_read", Path: "/proc/cmdline"},
	},
	Body: readFiles,
}

func readFiles(ctx context.Context, c *Counter, s Spec) error {
	file := s.Path
	if file == "" {
		file = "/proc/cmdline"
	}
	check, err := newContentCheck(s)
	if err != nil {
		return err
	}
	return workers(ctx, s.N, func(ctx context.Context, _ int) error {
		// A thread of its own: a task that the patch has to switch.
		runtime.LockOSThread()
		buf := make([]byte, 64<<10)
		for ctx.Err() == nil {
			began := time.Now()
			content, err := readOnce(file, buf)
			took := time.Since(began)
			if err != nil {
				c.Wrong("read %s: %v", file, err)
			} else if err := check.see(content); err != nil {
				c.Wrong("%s: %v", file, err)
			} else {
				c.Op(took)
			}
			yield()
		}
		return nil
	})
}

// readOnce reads a file as cat does: opened anew, until the end.
func readOnce(file string, buf []byte) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n := 0
	for n < len(buf) {
		m, err := f.Read(buf[n:])
		n += m
		if err == io.EOF {
			return buf[:n], nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("longer than %d bytes", len(buf))
}

// contentCheck tells right content from wrong: what was accepted beforehand,
// or else as many variants as a patch can account for, learned as they come.
// A torn read would be one variant too many.
type contentCheck struct {
	accept []*regexp.Regexp
	most   int // variants; negative for any number

	mu   sync.Mutex
	seen [][]byte
}

func newContentCheck(s Spec) (*contentCheck, error) {
	check := &contentCheck{most: s.Variants}
	if check.most == 0 {
		check.most = 2
	}
	for _, text := range s.Accept {
		re, err := regexp.Compile(`\A(?:` + text + `)\z`)
		if err != nil {
			return nil, fmt.Errorf("what to accept: %w", err)
		}
		check.accept = append(check.accept, re)
	}
	return check, nil
}

func (k *contentCheck) see(content []byte) error {
	switch {
	case len(content) == 0:
		return fmt.Errorf("empty")
	case content[len(content)-1] != '\n':
		return fmt.Errorf("does not end in a newline: %.200q", content)
	}
	if len(k.accept) > 0 {
		for _, re := range k.accept {
			if re.Match(content) {
				return nil
			}
		}
		return fmt.Errorf("neither the old content nor the new: %.300q", content)
	}
	if k.most < 0 {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.seen {
		if bytes.Equal(s, content) {
			return nil
		}
	}
	if len(k.seen) >= k.most {
		return fmt.Errorf("content number %d, %d are right: %.300q", len(k.seen)+1, k.most, content)
	}
	k.seen = append(k.seen, bytes.Clone(content))
	return nil
}
