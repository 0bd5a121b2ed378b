// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"bytes"
	"errors"
	"strconv"
)

// Flags of a task, include/linux/sched.h: the same from 5.10 to 7.x.
const (
	flagIOWorker = 0x00000010 // PF_IO_WORKER
	flagWQWorker = 0x00000020 // PF_WQ_WORKER
	flagKThread  = 0x00200000 // PF_KTHREAD
)

// stat is what we need of /proc/PID/stat (Documentation/filesystems/proc.rst,
// table 1-4).
type stat struct {
	comm  string
	state string
	flags uint64
	cpu   int
	guest bool // it has spent time as the CPU of a virtual machine
}

var errStat = errors.New("stat: not as it should be")

// parseStat reads a stat file. The name is in parentheses and may hold any
// character, parentheses included: the last one ends it.
func parseStat(b []byte) (stat, error) {
	from, to := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if from < 0 || to < from {
		return stat{}, errStat
	}
	fields := bytes.Fields(b[to+1:])
	if len(fields) < 37 {
		return stat{}, errStat
	}
	flags, err := strconv.ParseUint(string(fields[6]), 10, 64)
	if err != nil {
		return stat{}, errStat
	}
	cpu, err := strconv.Atoi(string(fields[36]))
	if err != nil {
		return stat{}, errStat
	}
	guest := len(fields) > 40 && string(fields[40]) != "0"
	return stat{comm: string(b[from+1 : to]), state: string(fields[0]), flags: flags, cpu: cpu, guest: guest}, nil
}
