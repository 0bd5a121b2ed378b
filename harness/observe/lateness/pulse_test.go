// SPDX-License-Identifier: Apache-2.0

package lateness_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe/lateness"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// aroundPulse is what the module's source takes from the kernel, cut to what
// counting needs, and a program that counts what it reads: window, deadline and
// lateness, each 8 bytes. It writes the slab.
const aroundPulse = `
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
typedef uint64_t u64;
typedef int64_t s64;
struct hrtimer { int unused; };
enum hrtimer_restart { HRTIMER_RESTART };
struct dentry;
struct debugfs_blob_wrapper { void *data; unsigned long size; };
#define LINUX_VERSION_CODE 1
#define KERNEL_VERSION(a, b, c) 0
#define CLOCK_MONOTONIC 1
#define HRTIMER_MODE_ABS_PINNED_HARD 0
#define ENOMEM 12
#define __init
#define __exit
#define module_param(name, type, perm)
#define MODULE_PARM_DESC(name, text)
#define MODULE_DESCRIPTION(text)
#define MODULE_LICENSE(text)
#define module_init(f) int (*f##_used)(void) = f;
#define module_exit(f) void (*f##_used)(void) = f;
#define READ_ONCE(x) (x)
#define WRITE_ONCE(x, v) ((x) = (v))
#define container_of(p, type, member) ((type *)(p))
#define nr_cpu_ids 1
static s64 ktime_get(void) { return 0; }
static u64 hrtimer_forward(struct hrtimer *t, s64 now, s64 by) { return 1; }
static void hrtimer_setup(struct hrtimer *t, enum hrtimer_restart (*f)(struct hrtimer *), int clock, int mode) { }
static void hrtimer_start_range_ns(struct hrtimer *t, s64 at, u64 delta, int mode) { }
static void hrtimer_cancel(struct hrtimer *t) { }
static struct dentry *debugfs_create_dir(const char *name, struct dentry *in) { return 0; }
static void debugfs_create_blob(const char *name, int mode, struct dentry *in, struct debugfs_blob_wrapper *b) { }
static void debugfs_remove_recursive(struct dentry *d) { }
static void *vzalloc(unsigned long size) { return calloc(1, size); }
static void vfree(void *p) { free(p); }
static int smp_call_function_single(int cpu, void (*f)(void *), void *data, int wait) { return -1; }
%s
int main(void)
{
	s64 in[3];
	struct beat beat = { .stride = 1 };

	pulse_init();
	while (fread(in, sizeof(in), 1, stdin) == 1)
	{
		record(block_of(in[0], 0), in[1], in[2]);
		cpu_of(0)->spare[0] += stride_after(&beat, in[2] / PERIOD_NS) * in[1];
	}
	fwrite(blob.data, 1, blob.size, stdout);
	return 0;
}
`

var includes = regexp.MustCompile(`(?m)^#include <linux/.*$`)

// TestPulseCountsAlike: the kernel module and the task count the same, to the
// byte, and lay it down in the same place.
func TestPulseCountsAlike(t *testing.T) {
	source, err := os.ReadFile("../../run/pulse/switchyard_pulse.c")
	require.NoError(t, err)
	dir := t.TempDir()
	program := fmt.Sprintf(aroundPulse, includes.ReplaceAll(source, nil))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pulse.c"), []byte(program), 0o644))
	y, err := run.NewYard(run.Options{})
	require.NoError(t, err)
	root, err := y.Root(t.Context())
	require.NoError(t, err)

	memory := make([]byte, lateness.Size(1))
	slab, err := lateness.NewSlab(memory, 1)
	require.NoError(t, err)
	slab.SetWindow(0) // the module's is a parameter
	draw := rand.New(rand.NewPCG(1, 2))
	var in bytes.Buffer
	deadline, strides, pace := int64(1e12), int64(0), lateness.NewStride()
	for range 20000 {
		window := draw.IntN(len(lateness.Windows))
		late := draw.Int64N(1 << (1 + draw.IntN(31)))
		if draw.IntN(200) == 0 { // seconds, behind which thousands are missed
			late = draw.Int64N(3) * int64(lateness.Period) * 2000
		}
		for _, n := range []int64{int64(window), deadline, late} {
			for i := range 8 {
				in.WriteByte(byte(n >> (8 * i)))
			}
		}
		lateness.ForTest{Slab: slab}.Record(window, deadline, late)
		strides += pace(late/int64(lateness.Period)) * deadline
		deadline += int64(lateness.Period)
	}
	// The sum of all strides, each with a weight of its own.
	binary.LittleEndian.PutUint64(memory[8*(8+3):], uint64(strides))
	var out, log bytes.Buffer
	err = root.Run(t.Context(), toolroot.Job{
		Argv: []string{"sh", "-ec", "gcc-14 -O1 -w -o /build/pulse /build/pulse.c && /build/pulse"},
		Dir:  "/build", Mounts: []toolroot.Bind{{Host: dir, Inside: "/build", Writable: true}},
		Stdin: &in, Stdout: &out, Stderr: &log,
	})
	require.NoError(t, err, log.String())
	require.Len(t, out.Bytes(), len(memory))
	require.True(t, bytes.Equal(memory, out.Bytes()), "the first difference is at byte %d", firstDifference(memory, out.Bytes()))
	theirs, err := lateness.OpenSlab(out.Bytes())
	require.NoError(t, err)
	require.Positive(t, theirs.Read(2, 0).Missed)
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}
