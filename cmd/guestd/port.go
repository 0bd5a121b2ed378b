// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/channel"
)

// portName is the virtio-serial port that carries the channel.
const portName = "org.switchyard.0"

// port is a virtio-serial port, used with plain blocking system calls: Go's
// poller would be told that the port is ready all the time while no host is
// attached, and spin.
type port struct{ fd int }

// Read waits for bytes. While no host is attached the kernel gives 0 bytes at
// once and has nothing to wait on (poll says hang-up at once), so there is no
// way but to ask again after a moment.
func (p *port) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(p.fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, err
		case n == 0:
			time.Sleep(10 * time.Millisecond)
			return 0, channel.ErrDetached
		default:
			return n, nil
		}
	}
}

// Write waits until the host took everything.
func (p *port) Write(b []byte) (int, error) {
	for done := 0; done < len(b); {
		n, err := unix.Write(p.fd, b[done:])
		if err != nil && !errors.Is(err, unix.EINTR) {
			return done, err
		}
		done += max(n, 0)
	}
	return len(b), nil
}

func (p *port) Close() error { return unix.Close(p.fd) }

// openPort opens the port called name, waiting for it to appear: its driver
// asks the host for ports and names in its own time.
func openPort(ctx context.Context, name string) (*port, error) {
	events, err := listenForDevices()
	if err != nil {
		return nil, err
	}
	defer unix.Close(events)
	for ctx.Err() == nil {
		path, err := findPort("/sys/class/virtio-ports", name)
		if err != nil {
			return nil, err
		}
		if path != "" {
			fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err == nil {
				return &port{fd}, nil
			}
			if !errors.Is(err, unix.ENOENT) { // the node follows in a moment
				return nil, fmt.Errorf("open %s: %w", path, err)
			}
		}
		waitForDevice(events)
	}
	return nil, ctx.Err()
}

// findPort gives the device node of the port called name, "" while there is
// none. There is no udev in the guest that would make links by name.
func findPort(class, name string) (string, error) {
	names, err := filepath.Glob(class + "/*/name")
	if err != nil {
		return "", err
	}
	for _, file := range names {
		b, err := os.ReadFile(file)
		if err == nil && string(bytes.TrimSpace(b)) == name {
			return "/dev/" + filepath.Base(filepath.Dir(file)), nil
		}
	}
	return "", nil
}

// listenForDevices opens the socket on which the kernel tells of new devices.
func listenForDevices() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return -1, fmt.Errorf("listen for devices: %w", err)
	}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1})
	if err == nil {
		// An event may be lost when there are many at once: look anyway.
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000})
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen for devices: %w", err)
	}
	return fd, nil
}

// waitForDevice waits for one event or the socket's time-out.
func waitForDevice(fd int) {
	var buf [2048]byte
	_, _ = unix.Read(fd, buf[:])
}
