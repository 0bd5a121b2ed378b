// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/tasklist"
	"github.com/switchyard-project/switchyard/harness/vm"
)

// Flags of a task, include/linux/sched.h: the same from 5.10 to 7.x.
const (
	flagIOWorker = 0x00000010 // PF_IO_WORKER
	flagWQWorker = 0x00000020 // PF_WQ_WORKER
	flagKThread  = 0x00200000 // PF_KTHREAD
)

// States of a task, include/linux/sched.h: the same from 5.10 to 7.x.
const (
	taskInterruptible   = 0x1
	taskUninterruptible = 0x2
)

// inspect reads who had not switched out of the memory of a guest that no
// longer answers, if it fell silent in the middle of a transition. What it
// finds, and why it found no more, is on the timeline.
func (g *Guest) inspect(ctx context.Context, m *vm.Machine, registers string) {
	t := g.Timeline()
	phases := t.Phases()
	if len(phases) == 0 || phases[len(phases)-1].Done() {
		return
	}
	p := phases[len(phases)-1]
	target := 0
	if p.To == observe.Apply {
		target = 1
	}
	// The guest's clock cannot be asked any more: the last that it told.
	last := p.Start
	for _, e := range t {
		if e.Clock == observe.Guest {
			last = max(last, e.T)
		}
	}
	tasks, err := g.tasks(ctx, m, registers)
	note := observe.Action{Name: "read the task list", Edge: "end", Detail: fmt.Sprintf("%d tasks", len(tasks))}
	if err != nil {
		note.Error = err.Error()
	}
	for _, task := range tasks {
		if task.PatchState == 1-target {
			_ = g.rec.add(observe.Event{Clock: observe.Guest, T: last, Kind: observe.KindBlocker, Blocker: remembered(task)})
		}
	}
	_ = g.rec.add(observe.Event{Clock: observe.Host, T: observe.Monotonic(), Kind: observe.KindAction, Action: &note})
}

func (g *Guest) tasks(ctx context.Context, m *vm.Machine, registers string) ([]tasklist.Task, error) {
	layout, err := tasklist.LayoutOf(g.Kit)
	if err != nil {
		return nil, err
	}
	return layout.Read(ctx, tasklist.Memory{Read: m.Memory, Registers: registers, CPUs: g.CPUs})
}

// remembered is what memory tells of a task in the way.
func remembered(t tasklist.Task) *observe.Blocker {
	b := &observe.Blocker{
		PID: t.PID, TID: t.TID, Comm: t.Comm, Kind: observe.UserTask, Reason: observe.Waiting, State: "S",
		CPU: max(t.CPU, 0), Witnesses: []string{observe.ByMemory},
	}
	switch {
	case t.Idle:
		b.Kind = observe.IdleTask
	case t.Flags&flagWQWorker != 0:
		b.Kind = observe.KWorker
	case t.Flags&flagIOWorker != 0:
		b.Kind = observe.IOWorker
	case t.Flags&flagKThread != 0:
		b.Kind = observe.KThread
	}
	switch {
	case t.State == 0:
		b.Reason, b.State = observe.Running, "R"
	case t.State&taskUninterruptible != 0:
		b.State = "D"
	case t.State&taskInterruptible == 0:
		b.State = "?"
	}
	return b
}
