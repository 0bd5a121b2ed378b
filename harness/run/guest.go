// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/observe"
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
	Commands    bool          // u-root's commands in /bbin
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
	// StartWall and StartCPU are what the start cost, to the agent's hello:
	// wall time of the host and CPU time of the QEMU process.
	StartWall, StartCPU time.Duration

	rec     *recorder
	release func()
	stop    context.CancelFunc // of the watch
	done    sync.WaitGroup
	died    chan struct{} // closed when the machine's end is on the timeline
	once    sync.Once
	closed  error
}

// Boot starts a guest and waits for its agent. What the machine said is in
// cfg.Dir whatever happens.
func (y *Yard) Boot(ctx context.Context, cfg GuestConfig) (*Guest, error) {
	image, err := images.Spec{Kit: cfg.Kit, Commands: cfg.Commands || cfg.Shell, Files: cfg.Files}.Build(ctx, y.Store)
	if err != nil {
		return nil, err
	}
	qemu, err := y.FindQEMU(ctx)
	if err != nil {
		return nil, err
	}
	accel, _, err := vm.ChooseAccel(ctx, y.Accel, qemu, cfg.Kit.VMLinux, filepath.Join(y.Store.Dir, "probes"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, err
	}
	release := func() {}
	if !cfg.Companion {
		if release, err = y.token(ctx, accel); err != nil {
			return nil, err
		}
	}
	log, err := observe.Create(filepath.Join(cfg.Dir, "timeline.jsonl"), 0)
	if err != nil {
		release()
		return nil, err
	}
	g := &Guest{
		Kit: cfg.Kit, Accel: accel, QEMU: qemu, Dir: cfg.Dir,
		CPUs: cfg.CPUs, MemMiB: cfg.MemMiB,
		rec: newRecorder(log), release: release, died: make(chan struct{}),
	}
	if g.CPUs == 0 {
		g.CPUs = defaultCPUs(cfg.Kit, accel)
	}
	if g.MemMiB == 0 {
		g.MemMiB = DefaultMemMiB
	}
	if err := g.start(ctx, cfg, image); err != nil {
		_ = g.Close(ctx) // the machine's own end is in err already
		return nil, err
	}
	return g, nil
}

// kernelArgs are the agent's own. It is init itself: u-root's costs a second
// program's start at every boot and turns the kernel's messages down.
func (c GuestConfig) kernelArgs() []string {
	args := []string{"rdinit=/bin/guestd"}
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

func (g *Guest) start(ctx context.Context, cfg GuestConfig, image *images.Image) error {
	began := time.Now()
	machine, err := vm.Start(ctx, vm.Config{
		QEMU: g.QEMU, Accel: g.Accel, CPUs: g.CPUs, MemMiB: g.MemMiB,
		Kernel: cfg.Kit.VMLinux, Initrd: image.Path,
		Append:  cfg.kernelArgs(),
		Dir:     cfg.Dir,
		Silence: cfg.Silence, Deadline: cfg.Deadline,
	})
	if err != nil {
		return err
	}
	g.Machine = machine
	g.done.Add(1)
	go g.recordDeath()

	timeout := cfg.BootTimeout
	if timeout == 0 {
		timeout = DefaultBootTimeout
	}
	late := fmt.Errorf("no hello within the boot timeout of %v", timeout)
	bootCtx, cancel := context.WithTimeoutCause(ctx, timeout, late)
	defer cancel()
	client, err := channel.Dial(bootCtx, machine.Channel())
	if errors.Is(err, late) { // a death like others, with its evidence
		machine.End(late)
		err = machine.Wait()
	}
	if err != nil {
		return fmt.Errorf("boot %s: %w", cfg.Kit.Release, g.orDeath(err))
	}
	g.Client = client
	g.StartWall = time.Since(began)
	g.StartCPU, _ = machine.Usage()
	if hello := client.Hello(); hello.Release != cfg.Kit.Release {
		return fmt.Errorf("boot %s: the guest says that it is %s", cfg.Kit.Release, hello.Release)
	}
	return g.watch(bootCtx)
}

// watch starts the event stream and waits until the guest is watching.
func (g *Guest) watch(ctx context.Context) error {
	watchCtx, stop := context.WithCancel(context.Background())
	g.stop = stop
	mark := g.rec.mark()
	g.done.Add(1)
	go func() {
		defer g.done.Done()
		err := g.Client.Watch(watchCtx, channel.WatchOptions{}, func(e observe.Event) error {
			g.Machine.Touch()
			return g.rec.add(e)
		})
		// Whoever waits for an event would wait in vain.
		g.rec.end(fmt.Errorf("watch the guest: %w", err))
	}()
	err := g.rec.wait(ctx, mark, func(e observe.Event) (bool, error) { return e.Kind == observe.KindWatch, nil })
	if err != nil {
		return fmt.Errorf("boot %s: %w", g.Kit.Release, g.orDeath(err))
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

// recordDeath puts the machine's end on the timeline.
func (g *Guest) recordDeath() {
	defer g.done.Done()
	err := g.Machine.Wait()
	cause, text := "asked for", ""
	if err != nil {
		// "*vm.GuestPanic" -> "GuestPanic"
		cause, text = strings.TrimPrefix(fmt.Sprintf("%T", err), "*vm."), err.Error()
	}
	_ = g.rec.add(observe.Event{Clock: observe.Host, T: hostMonotonic(), Kind: observe.KindDeath, Death: &observe.Death{Cause: cause, Text: text}})
	close(g.died)
}

// brokenConnection is how the end of a machine first shows on its channel.
var brokenConnection = []error{channel.ErrClosed, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE}

// Explain is orDeath for the guest's users.
func (g *Guest) Explain(err error) error { return g.orDeath(err) }

// fateWait bounds the wait for the reason of a lost connection: a dying guest
// can take a while to print its oops under TCG.
const fateWait = 10 * time.Second

// orDeath gives the machine's own end in the place of an error that only
// follows from it. A lost connection can be seen before the reason is known,
// so it waits for the verdict of the one place that decides it.
func (g *Guest) orDeath(err error) error {
	if err == nil || g.Machine == nil {
		return err
	}
	for _, broken := range brokenConnection {
		if errors.Is(err, broken) {
			if death := g.Machine.Fate(fateWait); death != nil {
				return death
			}
			break
		}
	}
	return err
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

// powerOff asks the agent; a guest that cannot be asked is ended.
func (g *Guest) powerOff(ctx context.Context) error {
	if g.Client == nil {
		g.Machine.Kill()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_ = g.sampleOffset(ctx)
	g.Machine.ExpectShutdown()
	_ = g.Client.PowerOff(ctx) // what came of it, Shutdown tells
	return g.Machine.Shutdown(ctx)
}
