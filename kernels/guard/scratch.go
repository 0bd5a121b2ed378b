// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

const scratchRole = "scratch"

func init() { Register(scratchRole, scratchMain) }

// keeper is the one process that removes this process's scratch folders
// should it die; started with the first folder.
var keeper struct {
	sync.Mutex
	pipe *os.File
}

// Scratch makes a new, empty folder below parent that is removed by its
// remove function, or, should this process die first, by its keeper.
func Scratch(parent, pattern string) (dir string, remove func(), err error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", nil, fmt.Errorf("scratch folder: %w", err)
	}
	// The keeper hears of the outer folder before it exists, so that no
	// moment is unguarded.
	for try := 0; ; try++ {
		dir = filepath.Join(parent, fmt.Sprintf("%s-%d-%d", pattern, os.Getpid(), nextScratch()))
		if err := tellKeeper("+", dir); err != nil {
			return "", nil, err
		}
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			break
		}
		if !os.IsExist(err) || try > 1000 {
			return "", nil, fmt.Errorf("scratch folder: %w", err)
		}
	}
	return dir, func() {
		RemoveAll(dir)
		_ = tellKeeper("-", dir)
	}, nil
}

// ScratchOwner is the process id in the name of a folder that Scratch made; 0 if
// there is none.
func ScratchOwner(dir string) int {
	fields := strings.Split(filepath.Base(dir), "-") // PATTERN-PID-N
	if len(fields) < 3 {
		return 0
	}
	pid, err := strconv.Atoi(fields[len(fields)-2])
	if err != nil {
		return 0
	}
	return pid
}

var scratchCount struct {
	sync.Mutex
	n int
}

func nextScratch() int {
	scratchCount.Lock()
	defer scratchCount.Unlock()
	scratchCount.n++
	return scratchCount.n
}

func tellKeeper(verb, dir string) error {
	keeper.Lock()
	defer keeper.Unlock()
	if keeper.pipe == nil {
		self, err := Self()
		if err != nil {
			return err
		}
		theirs, ours, err := os.Pipe()
		if err != nil {
			return fmt.Errorf("guard pipe: %w", err)
		}
		cmd := exec.Command(self, RoleArgs(scratchRole)...)
		cmd.Stdin = theirs
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		err = cmd.Start()
		theirs.Close()
		if err != nil {
			ours.Close()
			return fmt.Errorf("start the keeper of scratch folders: %w", err)
		}
		go func() { _ = cmd.Wait() }()
		keeper.pipe = ours
	}
	_, err := fmt.Fprintf(keeper.pipe, "%s%q\n", verb, dir)
	return err
}

// scratchMain removes, once its parent is gone, every folder still on the list.
func scratchMain([]string) int {
	deafen()
	left := map[string]bool{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var dir string
		if _, err := fmt.Sscanf(lines.Text()[1:], "%q", &dir); err != nil {
			continue
		}
		if strings.HasPrefix(lines.Text(), "+") {
			left[dir] = true
		} else {
			delete(left, dir)
		}
	}
	for dir := range left {
		RemoveAll(dir)
	}
	return 0
}

// RemoveAll is os.RemoveAll for trees that hold folders without write
// permission (Go's module cache, extracted packages).
func RemoveAll(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}
