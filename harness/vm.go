// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels"
)

// How a machine can end other than as it was asked to; errors.As tells them
// apart. See package vm for what each carries.
type (
	GuestPanic    = vm.GuestPanic
	GuestReset    = vm.GuestReset
	GuestShutdown = vm.GuestShutdown
	QEMUKilled    = vm.QEMUKilled
	QEMUExit      = vm.QEMUExit
	Silence       = vm.Silence
)

// VM is a booted guest of one test. Its methods fail the test when the guest
// does not answer.
type VM struct {
	Kit *kernels.Kit
	*run.Guest
	yard    *run.Yard
	ctx     context.Context
	options options
	loads   []startedLoad
	before  []*patch.Module // that a fork had already

	interruption interruption
	dead         bool // its end was expected and told
}

type options struct {
	config  run.GuestConfig
	loads   []load.Spec
	allowed []*regexp.Regexp
	before  before

	calls       bool // of patched functions, to be seen
	callsBuffer int  // KiB; 0: the usual
	// interruption: it is measured.
	interruption bool
}

// Option changes how Boot boots.
type Option func(testing.TB, *options)

// Load starts the loads named, each as "name" or "name=N", once the guest is
// up. They run until the test ends, and a wrong result fails it.
func Load(specs ...string) Option {
	return func(t testing.TB, o *options) {
		t.Helper()
		parsed, err := load.ParseSpec(strings.Join(specs, ","))
		if err != nil {
			t.Fatal(err)
		}
		o.loads = append(o.loads, parsed...)
	}
}

// Commands puts u-root's commands (cat, gosh, ps, …) into the guest, for Run
// and Start: /bbin/NAME. Without them it boots faster.
func Commands() Option { return func(_ testing.TB, o *options) { o.config.Commands = true } }

// Cold boots the guest instead of forking a snapshot of one that has booted:
// for cases about the kernel's start.
func Cold() Option { return func(_ testing.TB, o *options) { o.config.Cold = true } }

// CPUs gives the guest n vCPUs, whatever -smp says.
func CPUs(n int) Option { return func(_ testing.TB, o *options) { o.config.CPUs = n } }

// Memory gives the guest mib MiB, whatever -mem says.
func Memory(mib int) Option { return func(_ testing.TB, o *options) { o.config.MemMiB = mib } }

// KernelArgs adds arguments of the kernel's command line.
func KernelArgs(args ...string) Option {
	return func(_ testing.TB, o *options) { o.config.Append = append(o.config.Append, args...) }
}

// SilenceAfter declares the guest dead when it gives no sign of life for d of
// host time.
func SilenceAfter(d time.Duration) Option {
	return func(_ testing.TB, o *options) { o.config.Silence = d }
}

// AllowReport lets the kernel log hold reports whose title matches pattern;
// any other one fails the test.
func AllowReport(pattern string) Option {
	return func(_ testing.TB, o *options) { o.allowed = append(o.allowed, regexp.MustCompile(pattern)) }
}

// Boot boots k for the length of the test.
func Boot(t testing.TB, k *kernels.Kit, opts ...Option) *VM {
	t.Helper()
	v := &VM{Kit: k, yard: yard(t), ctx: testContext(t)}
	v.options.config = run.GuestConfig{Kit: k, CPUs: settings.smp, MemMiB: settings.mem, BootTimeout: settings.bootTimeout, Cold: settings.cold}
	for _, o := range opts {
		o(t, &v.options)
	}
	v.options.config.Dir = artifacts(t, v.yard)
	if d, ok := v.ctx.Deadline(); ok {
		v.options.config.Deadline = d
	}
	v.options.config.Companion = !first(t)
	v.options.config.Layer = v.layer(t)
	guest, err := v.yard.Boot(v.ctx, v.options.config)
	if err != nil {
		t.Fatalf("%+v\nevidence: %s", fetchError(v.ctx, k.Release, err), v.options.config.Dir)
	}
	v.Guest = guest
	t.Logf("%s: %s, %d ms", k.Release, guest.Origin.Title(), guest.StartWall.Milliseconds())
	for _, f := range guest.Origin.Failures {
		t.Logf("%s: a snapshot was of no use: %s", k.Release, f)
	}
	t.Cleanup(func() { v.finish(t) })
	for _, s := range v.options.loads {
		v.startLoad(t, s)
	}
	v.startInterruption(t)
	return v
}

// booting holds the tests that have a guest or are waiting for their first.
var booting sync.Map

// first says whether this is the first guest of the test.
func first(t testing.TB) bool {
	_, again := booting.LoadOrStore(t, true)
	if !again {
		t.Cleanup(func() { booting.Delete(t) })
	}
	return !again
}

// finish powers the guest off and holds the test to what the guest says.
func (v *VM) finish(t testing.TB) {
	t.Helper()
	loads := slices.Clone(v.loads)
	v.stopLoads(t)
	ctx, cancel := cleanupContext()
	defer cancel()
	if !v.dead {
		// What the kernel says of the very last step counts as well. That the
		// guest does not answer, Close tells.
		_ = v.Fence(ctx)
	}
	err := v.Guest.Close(ctx)
	if err != nil && !v.dead {
		t.Errorf("%s: %+v", v.Kit.Release, err)
	}
	for _, r := range check.Reports(v.KernelLog()) {
		if !v.allowed(r.Title) {
			t.Errorf("%s: the kernel reported: %s\n%s", v.Kit.Release, r.Title, strings.Join(r.Text, "\n"))
		}
	}
	if t.Failed() {
		// -kernel selects the subtest; a release can hold what -run takes for
		// an operator.
		top, _, _ := strings.Cut(t.Name(), "/")
		again := fmt.Sprintf("go test -run '^%s$' -kernel %s", top, v.Kit.Release)
		t.Logf("evidence: %s\nagain: %s", v.Dir, again)
		v.bundle(t, again, loads)
	}
}

// cleanupContext is for what is left to do when the test's own is over.
func cleanupContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), grace)
}

func (v *VM) allowed(title string) bool {
	for _, re := range v.options.allowed {
		if re.MatchString(title) {
			return true
		}
	}
	return false
}

// artifacts makes the folder for what this test leaves behind: below
// SWITCHYARD_ARTIFACTS, where `go test -artifacts` wants it, else in the cache.
// It goes away with a test that passed, unless -keep.
func artifacts(t testing.TB, y *run.Yard) string {
	t.Helper()
	name := strings.NewReplacer("/", "_", " ", "_").Replace(t.Name())
	if f := flag.Lookup("test.artifacts"); f != nil && f.Value.String() == "true" {
		return t.ArtifactDir()
	}
	var dir string
	var err error
	if settings.artifacts != "" {
		if err = os.MkdirAll(settings.artifacts, 0o755); err == nil {
			dir, err = os.MkdirTemp(settings.artifacts, name+"-")
		}
	} else {
		dir, err = y.Store.Results(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() && !settings.keep {
			os.RemoveAll(dir)
		}
	})
	return dir
}

// CPUsTakeTurns says whether the machine runs one of its vCPUs at a time: one
// that is busy and not interrupted holds the others up for 100 ms each time.
func (v *VM) CPUsTakeTurns() bool {
	return vm.Execution{Accel: v.Accel, Major: v.QEMU.Major()}.TakesTurns()
}

// Died waits for the machine's end, which this test brings about, and gives
// its cause.
func (v *VM) Died(t testing.TB) error {
	t.Helper()
	select {
	case <-v.Machine.Done():
	case <-v.ctx.Done():
		t.Fatalf("the machine lives on: %v", context.Cause(v.ctx))
	}
	v.dead = true
	return v.Machine.Wait()
}

// Tell writes text to a file in the guest of which no answer may come, since
// the guest dies of it.
func (v *VM) Tell(t testing.TB, path, text string) {
	t.Helper()
	v.dead = true
	ctx, cancel := context.WithCancel(v.ctx)
	t.Cleanup(cancel)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_ = v.Client.WriteFile(ctx, path, []byte(text))
	}()
	select {
	case <-answered:
	case <-v.Machine.Done():
	}
}

// Modules are the names of the loaded modules, with their references.
func (v *VM) Modules(t testing.TB) map[string]int {
	t.Helper()
	all, err := v.Client.Modules(v.ctx)
	if err != nil {
		t.Fatalf("list the guest's modules: %v", v.Explain(err))
	}
	refs := map[string]int{}
	for _, m := range all {
		refs[m.Name] = m.RefCount
	}
	return refs
}

// Livepatches are the names of the livepatches that are applied.
func (v *VM) Livepatches(t testing.TB) []string {
	t.Helper()
	all, err := v.Client.Livepatches(v.ctx)
	if err != nil {
		t.Fatalf("list the guest's livepatches: %v", v.Explain(err))
	}
	var names []string
	for _, lp := range all {
		names = append(names, lp.Name)
	}
	return names
}

// KernelLogFenced is the kernel's log with everything that was logged before
// the call.
func (v *VM) KernelLogFenced(t testing.TB) []string {
	t.Helper()
	if err := v.Fence(v.ctx); err != nil {
		t.Fatalf("read the guest's kernel log: %v", v.Explain(err))
	}
	return v.KernelLog()
}

// Report waits for the kernel to report something whose title matches pattern,
// and gives that report.
func (v *VM) Report(t testing.TB, pattern string) check.LogReport {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var found check.LogReport
	err := v.WaitKernelLog(v.ctx, func(lines []string) bool {
		for _, r := range check.Reports(lines) {
			if re.MatchString(r.Title) {
				found = r
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatalf("wait for a report of the guest's kernel that matches %q: %v", pattern, v.Explain(err))
	}
	return found
}

// Memory gives n bytes of the guest's memory from a virtual address of the
// kernel on.
func (v *VM) Memory(t testing.TB, address uint64, n int) []byte {
	t.Helper()
	data, err := v.Machine.Memory(v.ctx, address, n)
	if err != nil {
		t.Fatal(v.Explain(err))
	}
	return data
}
