// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/images"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// Defaults of a guest.
const (
	DefaultMemMiB      = 512
	DefaultBootTimeout = 3 * time.Minute // host wall time; TCG on a loaded host is slow
)

// GuestConfig says what to boot.
type GuestConfig struct {
	Kit         *kernels.Kit
	CPUs        int // 0: what the kernel and the accelerator bear
	MemMiB      int // 0: DefaultMemMiB
	Dir         string
	BootTimeout time.Duration // host wall time to the agent's hello; 0: DefaultBootTimeout
	Silence     time.Duration // as in vm.Config
	Deadline    time.Time     // host; the machine is ended then
	Files       []images.File // additional files of the image
	Append      []string      // additional kernel arguments
	Layer       Layer         // what is done before anything else
	Commands    bool          // u-root's commands in /bbin
	Cold        bool          // boot, do not fork: for what the kernel's start is about
	Shell       bool          // a shell on the console, for a person, and Commands
	// Companion: the caller has another guest already, whose turn among the
	// machines at once this one shares. To wait for a turn of its own while
	// holding one could last for ever.
	Companion bool
}

// Guest is a booted machine whose agent answers and whose timeline is being
// recorded. It must be closed.
type Guest struct {
	Kit     *kernels.Kit
	Machine *vm.Machine
	Client  *channel.Client
	Accel   vm.Accel
	QEMU    vm.QEMU
	CPUs    int
	MemMiB  int
	Dir     string
	// StartWall and StartCPU are what the start cost, to the agent's hello
	// (after a fork: its answer): wall time of the host and CPU time of the QEMU
	// process.
	StartWall, StartCPU time.Duration
	// Origin is what the guest started from.
	Origin Origin

	config vm.Config
	rec    *recorder

	measuring *measuring // how late who must run at once runs; nil: not
	release   func()
	stop      context.CancelFunc // of the watch
	done      sync.WaitGroup
	died      chan struct{} // closed when the machine's end is on the timeline
	once      sync.Once
	closed    error

	insertedMu sync.Mutex
	inserted   []*patch.Module // see Inserted
	timer      *patch.Module   // of the measurement, which is no case's own
}

// Boot gives a guest whose agent answers: a fork of the golden snapshot of its
// kind, which is made if there is none, or, where cfg asks for it, one that
// was booted. What the machine said is in cfg.Dir whatever happens.
func (y *Yard) Boot(ctx context.Context, cfg GuestConfig) (*Guest, error) {
	machine, err := y.machine(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, err
	}
	release := func() {}
	if !cfg.Companion {
		if release, err = y.token(ctx, machine.Accel); err != nil {
			return nil, err
		}
	}
	var g *Guest
	if cfg.Cold || cfg.Shell {
		if g, err = y.boot(ctx, cfg, machine); err == nil {
			err = g.layOrClose(ctx, cfg.Layer)
		}
	} else {
		g, err = y.forkGolden(ctx, cfg, machine)
	}
	if err != nil {
		release()
		return nil, err
	}
	g.release = release
	g.inserted = slices.Concat(cfg.Layer.With, cfg.Layer.Live)
	return g, nil
}

// machine is what cfg asks for, with everything found that it needs.
func (y *Yard) machine(ctx context.Context, cfg GuestConfig) (vm.Config, error) {
	image, err := y.image(ctx, images.Spec{Kit: cfg.Kit, Commands: cfg.Commands || cfg.Shell, Files: cfg.Files})
	if err != nil {
		return vm.Config{}, err
	}
	qemu, err := y.FindQEMU(ctx)
	if err != nil {
		return vm.Config{}, err
	}
	accel, _, err := vm.ChooseAccel(ctx, y.Accel, qemu, cfg.Kit.BootImage(), filepath.Join(y.Store.Dir, "probes"))
	if err != nil {
		return vm.Config{}, err
	}
	machine := vm.Config{
		QEMU: qemu, Accel: accel, CPUs: cfg.CPUs, MemMiB: cfg.MemMiB,
		Kernel: cfg.Kit.BootImage(), Initrd: image,
		Append:  cfg.kernelArgs(),
		Dir:     cfg.Dir,
		Silence: cfg.Silence, Deadline: cfg.Deadline,
		Generation: cfg.Kit.Can(kernels.VMGenID),
	}
	if machine.CPUs == 0 {
		machine.CPUs = defaultCPUs(cfg.Kit, accel)
	}
	if machine.MemMiB == 0 {
		machine.MemMiB = DefaultMemMiB
	}
	return machine, nil
}

// boot starts a machine and waits for its agent.
func (y *Yard) boot(ctx context.Context, cfg GuestConfig, machine vm.Config) (*Guest, error) {
	g, err := newGuest(cfg, machine)
	if err != nil {
		return nil, err
	}
	g.Origin.Start = StartCold
	if err := g.start(ctx, cfg); err != nil {
		_ = g.Close(ctx) // the machine's own end is in err already
		return nil, err
	}
	return g, nil
}

// newGuest opens the timeline of a guest to be.
func newGuest(cfg GuestConfig, machine vm.Config) (*Guest, error) {
	log, err := observe.Create(filepath.Join(machine.Dir, observe.TimelineFile), 0)
	if err != nil {
		return nil, err
	}
	rec := newRecorder(log)
	if !machine.NoChannel { // else the timeline must repeat
		machine.Heard = rec.heardQEMU
	}
	g := &Guest{
		Kit: cfg.Kit, Accel: machine.Accel, QEMU: machine.QEMU, Dir: machine.Dir,
		CPUs: machine.CPUs, MemMiB: machine.MemMiB,
		rec: rec, died: make(chan struct{}),
	}
	if !machine.NoChannel {
		machine.Inspect = g.inspect
	}
	g.config = machine
	return g, nil
}

// kernelArgs are the agent's own. It is init itself: u-root's costs a second
// program's start at every boot and turns the kernel's messages down. What the
// kernel does not know becomes its environment: an agent that was busy for 10
// ms, as it is all the time under an emulator, need not be signalled by its own
// runtime to let others run.
func (c GuestConfig) kernelArgs() []string {
	args := []string{"rdinit=/bin/guestd", "GODEBUG=asyncpreemptoff=1"}
	if c.Shell {
		args = append(args, "switchyard.shell")
	}
	return append(args, c.Append...)
}

// defaultCPUs is two, so that tasks run on another CPU while they are
// switched, unless this kernel switches unbearably slowly then.
func defaultCPUs(kit *kernels.Kit, accel vm.Accel) int {
	if accel == vm.TCG && kit.Can(kernels.SlowDynamicPreemptTCG) {
		return 1
	}
	return 2
}

func (g *Guest) start(ctx context.Context, cfg GuestConfig) error {
	began := time.Now()
	machine, err := vm.Start(ctx, g.config)
	if err != nil {
		return err
	}
	timeout := cfg.BootTimeout
	if timeout == 0 {
		timeout = DefaultBootTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no hello within the boot timeout of %v", timeout))
	defer cancel()
	if err := g.greet(ctx, machine, channel.Greeting{}, began); err != nil {
		return fmt.Errorf("boot %s: %w", g.Kit.Release, err)
	}
	if err := g.watch(ctx, 0); err != nil {
		return fmt.Errorf("boot %s: %w", g.Kit.Release, err)
	}
	return nil
}

// greet makes the machine the guest's own and waits for its agent's hello,
// until ctx ends.
func (g *Guest) greet(ctx context.Context, machine *vm.Machine, greeting channel.Greeting, began time.Time) error {
	g.Machine = machine
	g.done.Add(1)
	go g.recordDeath()
	client, err := channel.DialFork(ctx, machine.Channel(), greeting)
	if cause := context.Cause(ctx); err != nil && cause != nil && errors.Is(err, cause) {
		machine.End(cause) // a death like others, with its evidence
		err = machine.Wait()
	}
	if err != nil {
		return g.orDeath(err)
	}
	g.Client = client
	g.StartWall = time.Since(began)
	g.StartCPU, _ = machine.Usage()
	if hello := client.Hello(); hello.Release != g.Kit.Release {
		return fmt.Errorf("the guest says that it is %s", hello.Release)
	}
	return nil
}

// watch streams the guest's events, those after number since of the watch
// that runs there, or from 0 of a new one; of that it waits for the first.
// The guest keeps watching when nobody listens, for its forks.
func (g *Guest) watch(ctx context.Context, since uint64) error {
	watchCtx, stop := context.WithCancel(context.Background())
	g.stop = stop
	mark := g.rec.mark()
	g.done.Add(1)
	go func() {
		defer g.done.Done()
		err := g.Client.Watch(watchCtx, channel.WatchOptions{Since: since, Keep: true}, func(e observe.Event) error {
			g.Machine.Touch()
			return g.rec.add(e)
		})
		// Whoever waits for an event would wait in vain.
		g.rec.end(fmt.Errorf("watch the guest: %w", err))
	}()
	if since == 0 {
		err := g.rec.wait(ctx, mark, func(e observe.Event) (bool, error) { return e.Kind == observe.KindWatch, nil })
		if err != nil {
			return g.orDeath(err)
		}
	}
	return g.sampleOffset(ctx)
}

// sampleOffset ties the guest's clock to the host's.
func (g *Guest) sampleOffset(ctx context.Context) error {
	e, err := g.Client.Offset(ctx)
	if err != nil {
		return g.orDeath(err)
	}
	return g.rec.add(e)
}

// Timeline is everything recorded so far.
func (g *Guest) Timeline() observe.Timeline { return g.rec.since(0) }

// Close powers the guest off and waits until nothing of it is left. Its error
// is the machine's death if it did not go as asked; the same at every call.
func (g *Guest) Close(ctx context.Context) error {
	g.once.Do(func() { g.closed = g.close(ctx) })
	return g.closed
}

func (g *Guest) close(ctx context.Context) error {
	var errs *multierror.Error
	if g.Machine != nil {
		if err := g.powerOff(ctx); err != nil {
			errs = multierror.Append(errs, err)
		}
		<-g.died
	}
	if g.stop != nil {
		g.stop()
	}
	if g.measuring != nil {
		g.measuring.stop()
	}
	if g.Client != nil {
		g.Client.Close()
	}
	g.done.Wait()
	// A full disk must not pass for a good run: the evidence is not whole.
	lost := g.rec.failure()
	if g.Machine != nil && lost == nil {
		lost = g.Machine.LogErr()
	}
	if err := g.rec.log.Close(); lost == nil {
		lost = err
	}
	if lost != nil {
		errs = multierror.Append(errs, fmt.Errorf("keep the evidence in %s: %w", g.Dir, store.DiskFull(lost, g.Dir)))
	}
	if g.release != nil {
		g.release()
	}
	if errs != nil && len(errs.Errors) == 1 {
		return errs.Errors[0]
	}
	return errs.ErrorOrNil()
}

// powerOff asks the agent; a guest that cannot be asked is ended. A fork is
// not asked: to shut down costs as much as the rest of a run.
func (g *Guest) powerOff(ctx context.Context) error {
	if g.Client == nil {
		g.Machine.Kill()
		return nil
	}
	if g.Origin.Start == StartFork {
		_ = g.sampleOffset(ctx)
		return g.Machine.Discard()
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_ = g.sampleOffset(ctx)
	g.Machine.ExpectShutdown()
	_ = g.Client.PowerOff(ctx) // what came of it, Shutdown tells
	return g.Machine.Shutdown(ctx)
}
