// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	if os.Args[0] == ProcessName {
		os.Exit(Main(os.Args))
	}
	os.Exit(m.Run())
}

// until runs a body until enough says so, and gives its counter.
func until(t *testing.T, body func(context.Context, *Counter, Spec) error, s Spec, enough func(*Counter) bool) *Counter {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := NewCounter()
	done := make(chan error, 1)
	go func() { done <- body(ctx, c, s) }()
	require.Eventually(t, func() bool { return enough(c) || len(done) > 0 }, time.Minute, time.Millisecond)
	cancel()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		t.Fatal("does not stop")
	}
	return c
}

func ops(n uint64) func(*Counter) bool { return func(c *Counter) bool { return c.Ops() >= n } }
func wrong(c *Counter) bool            { return c.Errors() > 0 }

// Every row of the table does its work here as well, finds nothing wrong and
// stops when told.
func TestEachLoadWorks(t *testing.T) {
	for _, l := range All() {
		t.Run(l.Name, func(t *testing.T) {
			require.NotEmpty(t, l.What)
			require.NotEmpty(t, l.Touches)
			c := until(t, l.Body, Spec{Name: l.Name, N: l.N}, ops(200))
			require.Zero(t, c.Errors(), c.FirstError())
			require.GreaterOrEqual(t, c.Ops(), uint64(200))
		})
	}
}

// Every load notices when what it exercises is broken.
func TestEachLoadNotices(t *testing.T) {
	file := t.TempDir() + "/f"
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o644)) }
	for name, tc := range map[string]struct {
		body func(context.Context, *Counter, Spec) error
		spec Spec
		want string
	}{
		"a file that is gone": {readFiles, Spec{N: 1, Path: "/proc/nonesuch"}, "no such file"},
		"a third content": {func(ctx context.Context, c *Counter, s Spec) error {
			check, _ := newContentCheck(s)
			for _, text := range []string{"old\n", "new\n", "old\n", "ne\n"} {
				if err := check.see([]byte(text)); err != nil {
					c.Wrong("%v", err)
				}
			}
			return nil
		}, Spec{}, `content number 3, 2 are right: "ne\n"`},
		"an exit status that is not the number of arguments": {func(ctx context.Context, c *Counter, s Spec) error {
			return storm(ctx, c, s, TinyELF([]byte{0xbf, 99, 0, 0, 0, 0xb8, 0xe7, 0, 0, 0, 0x0f, 0x05})) // exit_group(99)
		}, Spec{N: 1}, "ended with status 0x6300"},
		"a program that crashes": {func(ctx context.Context, c *Counter, s Spec) error {
			return storm(ctx, c, s, TinyELF([]byte{0x0f, 0x0b})) // ud2
		}, Spec{N: 1}, "ended with status 0x"},
		"a token that came back wrong": {func(ctx context.Context, c *Counter, s Spec) error {
			there, back, err := twoPipes()
			require.NoError(t, err)
			go answer(there[0], back[1], func(v uint64) uint64 { return v + v%100/99 + 1 })
			ping(ctx, c, there[1], back[0], 0)
			return nil
		}, Spec{}, "not one more"},
		"a timer that fires early": {func(ctx context.Context, c *Counter, s Spec) error {
			return timers(ctx, c, func() int64 { return monotonic() / 10 }) // by a clock at a tenth of the pace
		}, Spec{}, "fired after"},
		"a block that came back changed": {func(ctx context.Context, c *Counter, s Spec) error {
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				b := make([]byte, 8192)
				for {
					n, err := conn.Read(b)
					if err != nil {
						return
					}
					b[n-1] ^= 1
					_, _ = conn.Write(b[:n])
				}
			}()
			conn, err := net.Dial("tcp4", l.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			echo(ctx, c, conn, "tcp4", 1)
			return nil
		}, Spec{}, "other than they went"},
		"a file that is torn": {func(ctx context.Context, c *Counter, s Spec) error {
			write("no newline at the en")
			return readFiles(ctx, c, s)
		}, Spec{N: 1, Path: file}, "does not end in a newline"},
		"content that was not announced": {func(ctx context.Context, c *Counter, s Spec) error {
			write("something else\n")
			return readFiles(ctx, c, s)
		}, Spec{N: 1, Path: file, Accept: []string{"old.*\n", "has been live patched\n"}}, "neither the old content nor the new"},
	} {
		t.Run(name, func(t *testing.T) {
			c := until(t, tc.body, tc.spec, wrong)
			require.Positive(t, c.Errors())
			require.Contains(t, c.FirstError(), tc.want)
		})
	}
}

// hasty is a connection that waits a moment for its first answer.
type hasty struct {
	net.Conn
	waited bool
}

func (h *hasty) SetReadDeadline(until time.Time) error {
	if !h.waited {
		h.waited, until = true, time.Now().Add(20*time.Millisecond)
	}
	return h.Conn.SetReadDeadline(until)
}

// A datagram that is lost is a wrong result, and the load goes on.
func TestLostDatagram(t *testing.T) {
	p, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer p.Close()
	go func() {
		_, _, _ = p.ReadFrom(make([]byte, 8192)) // and no answer
		serveUDP(p)
	}()
	conn, err := net.Dial("udp4", p.LocalAddr().String())
	require.NoError(t, err)
	defer conn.Close()
	c := until(t, func(ctx context.Context, c *Counter, _ Spec) error {
		echo(ctx, c, &hasty{Conn: conn}, "udp4", 1)
		return nil
	}, Spec{}, ops(1))
	require.Contains(t, c.FirstError(), "udp4 over lo")
	require.Positive(t, c.Ops())
}

// A wake-up that is lost is noticed after the patience of a wait, and the
// turn goes on.
func TestFutexWithoutWakes(t *testing.T) {
	c := until(t, func(ctx context.Context, c *Counter, _ Spec) error {
		turns(ctx, c, func(*uint32) {})
		return nil
	}, Spec{}, func(c *Counter) bool { return c.Errors() > 0 || c.Ops() > 50_000 })
	require.Contains(t, c.FirstError(), "no wake-up")
}

func TestContentCheck(t *testing.T) {
	check, err := newContentCheck(Spec{Accept: []string{"a", `b+\n`}})
	require.NoError(t, err)
	require.NoError(t, check.see([]byte("bbb\n")))
	require.Error(t, check.see([]byte("bbb\nx\n")), "the whole content has to match")
	require.Error(t, check.see(nil))
	any, err := newContentCheck(Spec{Variants: -1})
	require.NoError(t, err)
	for _, text := range []string{"1\n", "2\n", "3\n", "4\n"} {
		require.NoError(t, any.see([]byte(text)))
	}
	require.Error(t, any.see([]byte("5")))
	_, err = newContentCheck(Spec{Accept: []string{"("}})
	require.Error(t, err)
}

func TestParseSpec(t *testing.T) {
	for text, want := range map[string][]Spec{
		"":                         nil,
		"none":                     nil,
		"fork":                     {{Name: "fork"}},
		"fork=4, pipe":             {{Name: "fork", N: 4}, {Name: "pipe"}},
		"proc-readers:/proc/a=b=3": {{Name: "proc-readers", Path: "/proc/a=b", N: 3}},
	} {
		got, err := ParseSpec(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"frok":              "there are proc-readers, fork, pipe, timer-futex, loopback",
		"fork=0":            "not a number from 1",
		"fork=many":         "not a number",
		"fork=99999":        "not a number",
		"fork:/proc/x":      "only proc-readers takes a path",
		"proc-readers:here": "absolute",
		"fork,":             "no load is called",
	} {
		_, err := ParseSpec(text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestSpecRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Spec{Name: rapid.SampledFrom(Names()).Draw(t, "name"), N: rapid.IntRange(1, MaxWorkers).Draw(t, "n")}
		got, err := ParseSpec(s.String())
		if err != nil || len(got) != 1 || got[0].Name != s.Name || got[0].N != s.N {
			t.Fatalf("%v became %v, %v", s, got, err)
		}
	})
}

func TestDefaultFor(t *testing.T) {
	names := func(specs []Spec) (out []string) {
		for _, s := range specs {
			out = append(out, s.String())
		}
		return out
	}
	for _, tc := range []struct {
		objects, functions, want []string
	}{
		{[]string{"vmlinux"}, []string{"cmdline_proc_show"}, []string{"proc-readers:/proc/cmdline", "fork"}},
		{[]string{"vmlinux"}, []string{"cmdline_proc_show,1"}, []string{"proc-readers:/proc/cmdline", "fork"}},
		{nil, []string{"vmlinux:pipe_read"}, []string{"pipe", "fork"}},
		{[]string{"vmlinux"}, []string{"do_exit"}, []string{"fork"}},
		{[]string{"nf_tables"}, []string{"pipe_read"}, []string{"fork"}},
		{[]string{"vmlinux"}, []string{"tcp_sendmsg", "hrtimer_start_range_ns"}, []string{"timer-futex", "loopback", "fork"}},
		{nil, nil, []string{"fork"}},
	} {
		require.Equal(t, tc.want, names(DefaultFor(tc.objects, tc.functions)), "%v", tc.functions)
	}
}

type plain struct{}

func (plain) Start(c *exec.Cmd) error { return c.Start() }
func (plain) Wait(c *exec.Cmd) error  { return c.Wait() }

func TestProcess(t *testing.T) {
	for _, l := range All() {
		t.Run(l.Name, func(t *testing.T) {
			p, err := Start(Spec{Name: l.Name}, "/proc/self/exe", plain{})
			require.NoError(t, err)
			require.Eventually(t, func() bool { return p.Read().Ops > 20 }, time.Minute, time.Millisecond)
			require.False(t, p.Read().Dead)
			last := p.Stop(t.Context())
			require.Zero(t, last.Errors, last.FirstError)
			require.False(t, last.Dead)
			require.Equal(t, last, p.Read(), "the counters stay readable")
			require.Equal(t, last, p.Stop(t.Context()))
			require.ErrorIs(t, syscall.Kill(-p.cmd.Process.Pid, 0), syscall.ESRCH, "nothing of it is left")
		})
	}
}

func TestProcessThatDies(t *testing.T) {
	p, err := Start(Spec{Name: "pipe", N: 1}, "/proc/self/exe", plain{})
	require.NoError(t, err)
	require.NoError(t, p.cmd.Process.Kill())
	<-p.done
	require.True(t, p.Read().Dead)
	require.True(t, p.Stop(t.Context()).Dead)
}

// unending starts what never ends, as a task that is stuck in the kernel does.
type unending struct {
	plain
	ended chan struct{} // closed when it may
}

func (u unending) Wait(c *exec.Cmd) error { <-u.ended; return c.Wait() }

// TestProcessThatIsStuck: who stops a load that cannot be ended is let go, and
// told.
func TestProcessThatIsStuck(t *testing.T) {
	u := unending{ended: make(chan struct{})}
	p, err := Start(Spec{Name: "pipe", N: 1}, "/proc/self/exe", u)
	require.NoError(t, err)
	defer func() { close(u.ended); <-p.done }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	last := p.Stop(ctx)
	require.EqualValues(t, 1, last.Errors)
	require.Contains(t, last.FirstError, "stuck in the kernel")
	require.Equal(t, last, p.Stop(t.Context()), "told once")
}

func TestStartRefuses(t *testing.T) {
	for text, spec := range map[string]Spec{
		"no load is called": {Name: "nonesuch"},
		"workers":           {Name: "fork", N: -1},
		"what to accept":    {Name: "proc-readers", Accept: []string{"("}},
	} {
		_, err := Start(spec, "/proc/self/exe", plain{})
		require.ErrorContains(t, err, text)
	}
}

func TestFirstErrorIsKeptAndBounded(t *testing.T) {
	c := NewCounter()
	c.Wrong("%s", strings.Repeat("a", 5000))
	c.Wrong("second")
	require.EqualValues(t, 2, c.Errors())
	require.Equal(t, strings.Repeat("a", 1000), c.FirstError())
	c.m.length.Store(1 << 30) // another process wrote it
	require.Len(t, c.FirstError(), 1000)
}
