// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"regexp"
	"slices"
	"strings"
)

// Args is the command line of the machine, QEMU.Argv first. It depends on cfg
// alone; the descriptors that it speaks of are Start's.
func Args(cfg Config) ([]string, error) {
	return cfg.args(inherited(cfg.Dir))
}

// ByHand is a line for a shell that starts the same machine with its console
// on the terminal.
func ByHand(cfg Config) (string, error) {
	args, err := cfg.args(byHand)
	if err != nil {
		return "", err
	}
	for i, arg := range args {
		args[i] = quote(arg)
	}
	return strings.Join(args, " "), nil
}

func (c Config) args(b backends) ([]string, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	args := append([]string{}, c.QEMU.Argv...)
	if dir := c.QEMU.DataDir; dir != "" && !slices.Contains(args, dir) {
		args = append(args, "-L", dir)
	}
	var kargs []string
	for _, d := range c.devices(b) {
		args = append(args, d.Cmdline()...)
		kargs = append(kargs, d.KArgs()...)
	}
	if c.incoming != nil { // told when it booted
		return args, nil
	}
	kargs = append(kargs, c.Append...)
	return append(args, "-append", strings.Join(kargs, " ")), nil
}

var plain = regexp.MustCompile(`^[-\w./:=,@%+]+$`)

// quote makes a word for a POSIX shell.
func quote(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
