// SPDX-License-Identifier: GPL-2.0
/*
 * A timer on each CPU that wants to interrupt it once a millisecond, and counts
 * how late it did: the second witness of interruption, beside a task that wants
 * to run (harness/observe/lateness, whose slab this is, word for word: change
 * both).
 *
 * window: the window (0 to 4) to which deadlines armed from now on count; any
 *         other number for none. /sys/module/switchyard_pulse/parameters/window
 * /sys/kernel/debug/switchyard_pulse/slab: what was counted, in binary
 */
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/errno.h>
#include <linux/hrtimer.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <linux/version.h>
#include <linux/vmalloc.h>

#define MAGIC		0x314554414c595753ULL	/* "SWYLATE1" */
#define PERIOD_NS	1000000
#define WINDOWS		5
#define KEPT		128
#define STEP_BITS	7
#define BUCKETS		3840
#define HIGHEST_NS	((1LL << 36) - 1)
#define MOST_CPUS	64
#define OVERLOAD	256
#define MOST_STRIDE	32

struct head {
	u64 magic, cpus, period, window, spare[4];
};

struct pulse_cpu {
	u64 armed, deadline, error, spare[5];
};

struct block {
	u64 count, missed, longest, kept, least, unkept, spare[2];
	struct {
		u64 deadline, late;
	} keep[KEPT];
	u64 counts[BUCKETS];
};

struct beat {
	struct hrtimer timer;
	s64 deadline;
	unsigned int cpu, window;
	s64 debt, stride;
	bool running;
};

static unsigned int window = WINDOWS;
module_param(window, uint, 0644);
MODULE_PARM_DESC(window, "to which deadlines armed from now on count");

static struct dentry *folder;
static struct debugfs_blob_wrapper blob;
static struct beat *beats;
static unsigned int cpus;

static struct pulse_cpu *cpu_of(unsigned int cpu)
{
	return (struct pulse_cpu *)((struct head *)blob.data + 1) + cpu;
}

static struct block *block_of(unsigned int win, unsigned int cpu)
{
	return (struct block *)cpu_of(cpus) + win * cpus + cpu;
}

static unsigned int index_of(s64 late)
{
	int octave;

	if (late > HIGHEST_NS)
		late = HIGHEST_NS;
	octave = 64 - __builtin_clzll(late | ((2 << STEP_BITS) - 1)) - (STEP_BITS + 1);
	return (octave << STEP_BITS) + (late >> octave);
}

static void keep(struct block *b, s64 deadline, u64 late)
{
	unsigned int at = b->least, i;

	if (b->kept < KEPT) {
		at = b->kept++;
	} else if (late > b->keep[at].late) {
		b->unkept = b->keep[at].late;
	} else {
		if (late > b->unkept)
			b->unkept = late;
		return;
	}
	b->keep[at].deadline = deadline;
	b->keep[at].late = late;
	if (b->kept < KEPT)
		return;
	b->least = 0;
	for (i = 1; i < KEPT; i++)
		if (b->keep[i].late < b->keep[b->least].late)
			b->least = i;
}

/* A deadline that was so late, and those behind it that had passed by then. */
static void record(struct block *b, s64 deadline, s64 late)
{
	keep(b, deadline, late);
	if (late > (s64)b->longest)
		b->longest = late;
	b->missed += late / PERIOD_NS;
	for (; late >= 0; late -= PERIOD_NS) {
		b->counts[index_of(late)]++;
		b->count++;
	}
}

/* One that is late again and again is asked for less often: see stride.go. */
static s64 stride_after(struct beat *beat, s64 missed)
{
	beat->debt += missed ? missed : -1;
	if (beat->debt >= OVERLOAD) {
		beat->debt = OVERLOAD / 2;
		if (beat->stride < MOST_STRIDE)
			beat->stride *= 2;
	} else if (beat->debt <= 0 && beat->stride > 1) {
		beat->debt = OVERLOAD / 2;
		beat->stride /= 2;
	} else if (beat->debt < 0) {
		beat->debt = 0;
	}
	return beat->stride;
}

/* The deadline that comes counts to the window of now. */
static void arm(struct beat *beat)
{
	struct pulse_cpu *c = cpu_of(beat->cpu);

	beat->window = READ_ONCE(window);
	if (beat->window > WINDOWS)
		beat->window = WINDOWS;
	WRITE_ONCE(c->deadline, beat->deadline);
	WRITE_ONCE(c->armed, beat->window + 1);
}

static enum hrtimer_restart tick(struct hrtimer *timer)
{
	struct beat *beat = container_of(timer, struct beat, timer);
	s64 now = ktime_get(), late = now - beat->deadline, periods;

	if (beat->window < WINDOWS)
		record(block_of(beat->window, beat->cpu), beat->deadline, late);
	periods = late / PERIOD_NS + stride_after(beat, late / PERIOD_NS);
	beat->deadline += hrtimer_forward(timer, now, periods * PERIOD_NS) * periods * PERIOD_NS;
	arm(beat);
	return HRTIMER_RESTART;
}

static void begin(void *data)
{
	struct beat *beat = data;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(&beat->timer, tick, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
#else
	hrtimer_init(&beat->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
	beat->timer.function = tick;
#endif
	/* At whole periods, as the task: one interrupt of the hardware for both. */
	beat->deadline = ktime_get();
	beat->deadline += 2 * PERIOD_NS - beat->deadline % PERIOD_NS;
	arm(beat);
	hrtimer_start_range_ns(&beat->timer, beat->deadline, 0, HRTIMER_MODE_ABS_PINNED_HARD);
}

static void __exit pulse_exit(void)
{
	unsigned int cpu;

	for (cpu = 0; cpu < cpus; cpu++)
		if (beats[cpu].running)
			hrtimer_cancel(&beats[cpu].timer);
	debugfs_remove_recursive(folder);
	vfree(beats);
	vfree(blob.data);
}

static int __init pulse_init(void)
{
	unsigned int cpu;
	struct head *head;

	cpus = nr_cpu_ids;
	if (cpus > MOST_CPUS)
		cpus = MOST_CPUS;
	blob.size = sizeof(struct head) + cpus * sizeof(struct pulse_cpu) + WINDOWS * cpus * sizeof(struct block);
	blob.data = vzalloc(blob.size);
	beats = vzalloc(cpus * sizeof(*beats));
	if (!blob.data || !beats) {
		vfree(blob.data);
		vfree(beats);
		return -ENOMEM;
	}
	head = blob.data;
	head->magic = MAGIC;
	head->cpus = cpus;
	head->period = PERIOD_NS;
	folder = debugfs_create_dir("switchyard_pulse", NULL);
	debugfs_create_blob("slab", 0400, folder, &blob);
	for (cpu = 0; cpu < cpus; cpu++) {
		beats[cpu].cpu = cpu;
		beats[cpu].stride = 1;
		/* A CPU that is not there has no timer, and shows as never armed. */
		beats[cpu].running = !smp_call_function_single(cpu, begin, &beats[cpu], 1);
	}
	return 0;
}

module_init(pulse_init);
module_exit(pulse_exit);
MODULE_DESCRIPTION("How late a timer interrupts each CPU");
MODULE_LICENSE("GPL");
