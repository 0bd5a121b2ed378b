// SPDX-License-Identifier: Apache-2.0

// Guest is the init of the machines that test package vm. It says READY on
// the console and then behaves as the kernel argument guest=BEHAVIOUR tells.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// behaviours are what a machine can be made to do, by name.
var behaviours = map[string]func() error{
	"poweroff": powerOff,
	"reset":    func() error { return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART) },
	"panic":    func() error { return write("/proc/sysrq-trigger", "c") },
	"exit":     func() error { os.Exit(0); return nil }, // "Attempted to kill init!"
	"hang":     func() error { return unix.Pause() },
	"flood":    flood,
	"echo":     echo,
	"memory":   eat,
	"count":    count,
	"listen":   listen,
}

func main() {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		_ = os.MkdirAll(m[1], 0o755)
		_ = unix.Mount(m[0], m[1], m[0], 0, "")
	}
	if console, err := os.OpenFile("/dev/console", os.O_RDWR, 0); err == nil {
		os.Stdout, os.Stderr = console, console
	}
	load() // pvpanic and virtio_console, where they are modules
	fmt.Println("READY")
	name := argument("guest")
	behave, ok := behaviours[name]
	if !ok {
		fmt.Printf("no behaviour %q\n", name)
		behave = powerOff
	}
	if err := behave(); err != nil {
		fmt.Println(name, err)
	}
	_ = powerOff()
}

// argument is the value of the kernel argument key.
func argument(key string) string {
	line, _ := os.ReadFile("/proc/cmdline")
	for _, word := range strings.Fields(string(line)) {
		if value, ok := strings.CutPrefix(word, key+"="); ok {
			return value
		}
	}
	return ""
}

// load inserts /modules/*.ko in the order of their names.
func load() {
	files, _ := filepath.Glob("/modules/*.ko")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err == nil {
			err = unix.InitModule(text, "")
		}
		if err != nil {
			fmt.Println("load", name, err)
		}
	}
}

func powerOff() error {
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0) }

// flood fills the console for ever, with bytes no terminal should see.
func flood() error {
	line := []byte("\x1b[2J" + strings.Repeat("flood ", 30) + "\n")
	for {
		if _, err := os.Stdout.Write(line); err != nil {
			return err
		}
	}
}

// count puts a thousand lines that are easy to check into the kernel's log,
// which its console driver writes out without much patience.
func count() error {
	log, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	for i := 0; i < 1000 && err == nil; i++ {
		_, err = fmt.Fprintln(log, "count", i)
	}
	return err
}

// listen tells what is typed at the console.
func listen() error {
	fmt.Println("listening")
	line, err := bufio.NewReader(os.Stdout).ReadString('\n')
	fmt.Printf("heard %q\n", strings.TrimSpace(line))
	return err
}

// echo sends back what comes in by the virtio-serial port, line by line,
// until it reads "off".
func echo() error {
	// The driver hears of its ports some time after it was loaded.
	name, err := port("org.switchyard.0")
	for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); name, err = port("org.switchyard.0") {
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		return err
	}
	// A plain blocking descriptor: Go's poller and these ports do not agree.
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, []byte("hello\n")); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, buf)
		if err != nil || n == 0 {
			return fmt.Errorf("port: %d %w", n, io.ErrUnexpectedEOF)
		}
		if _, err := unix.Write(fd, buf[:n]); err != nil {
			return err
		}
		if bytes.Contains(buf[:n], []byte("off\n")) {
			return powerOff()
		}
	}
}

func port(want string) (string, error) {
	names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
	for _, file := range names {
		if text, _ := os.ReadFile(file); strings.TrimSpace(string(text)) == want {
			return "/dev/" + filepath.Base(filepath.Dir(file)), nil
		}
	}
	return "", fmt.Errorf("no virtio-serial port %s among %d", want, len(names))
}

// eat takes all the memory there is.
func eat() error {
	var kept [][]byte
	for {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
}
