// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/switchyard-project/switchyard/harness/channel"
)

// listLivepatches reads the folder of all livepatches
// (Documentation/ABI/testing/sysfs-kernel-livepatch).
func listLivepatches(root string) ([]channel.Livepatch, error) {
	out := []channel.Livepatch{}
	entries, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		p := channel.Livepatch{Name: e.Name()}
		enabled, ok := number(dir + "/enabled")
		if !ok {
			continue // gone while we looked
		}
		transition, _ := number(dir + "/transition")
		p.Enabled, p.Transition = enabled == 1, transition == 1
		if v, ok := number(dir + "/replace"); ok {
			replace := v == 1
			p.Replace = &replace
		}
		if v, ok := number(dir + "/stack_order"); ok {
			p.StackOrder = &v
		}
		p.Objects = listObjects(dir)
		out = append(out, p)
	}
	return out, nil
}

func listObjects(dir string) []channel.LivepatchObject {
	out := []channel.LivepatchObject{}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		o := channel.LivepatchObject{Name: e.Name(), Functions: []string{}}
		if v, ok := number(filepath.Join(dir, e.Name(), "patched")); ok {
			patched := v == 1
			o.Patched = &patched
		}
		functions, _ := os.ReadDir(filepath.Join(dir, e.Name()))
		for _, f := range functions {
			if f.IsDir() {
				o.Functions = append(o.Functions, f.Name())
			}
		}
		out = append(out, o)
	}
	return out
}

// number reads a file that holds one.
func number(file string) (int, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	v, err := strconv.Atoi(string(bytes.TrimSpace(b)))
	return v, err == nil
}

func setLivepatch(root string, in channel.SetLivepatch) error {
	if in.Name == "" || in.Name == "." || in.Name == ".." || filepath.Base(in.Name) != in.Name {
		return fmt.Errorf("%q is not the name of a livepatch", in.Name)
	}
	value := "0\n"
	if in.Enabled {
		value = "1\n"
	}
	return writeFile(channel.WriteFileRequest{Path: filepath.Join(root, in.Name, "enabled"), Data: []byte(value)})
}
