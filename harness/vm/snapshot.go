// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-multierror"
)

// The files of a snapshot's folder.
const (
	aboutFile = "snapshot.json"
	stateFile = "state" // of the devices; of the memory as well unless ramFile is there
	ramFile   = "ram"
)

// Snapshot is a machine at one moment, on disk. Any number of forks start from
// it; it stays as it is. It holds the memory of a kernel and its CPUs'
// registers, and so is code: see Open.
type Snapshot struct {
	Dir string `json:"-"`
	// Identity is what a fork must have in common with the machine that was
	// saved: see Config.Identity.
	Identity string `json:"identity"`
	// Mapped: the memory is a file that forks map. Otherwise they read it.
	Mapped bool `json:"mapped"`
	// Paused: its forks start paused, because the machine was.
	Paused bool `json:"paused"`
	// SavedAt is the host's wall clock.
	SavedAt time.Time `json:"saved_at"`
	// StateSHA256 is of stateFile; Sample of some pages of ramFile.
	StateSHA256 string  `json:"state_sha256"`
	Sample      *sample `json:"sample,omitempty"`

	files instance
}

// SnapshotError says why a snapshot cannot be used.
type SnapshotError struct {
	Dir string
	Err error
	// Foreign: somebody else made it, or could have written it. Others are
	// merely of no use, and may be made again.
	Foreign bool
}

func (e *SnapshotError) Error() string { return fmt.Sprintf("snapshot %s: %v", e.Dir, e.Err) }
func (e *SnapshotError) Unwrap() error { return e.Err }

// NewRAM makes the file in dir that a machine to be saved there has as its
// memory: Config.RAM.
func NewRAM(dir string, mib int) (RAM, error) {
	path := filepath.Join(dir, ramFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return RAM{}, err
	}
	defer f.Close()
	return RAM{File: path, Shared: true}, f.Truncate(int64(mib) << 20)
}

// Save makes a snapshot in the folder of the machine's RAM file (see NewRAM)
// and ends the machine. Forks run on from the moment at which it was called.
//
// Source: QEMU's docs/devel/migration; x-ignore-shared leaves the memory out
// of the stream, as it is in the file.
func (m *Machine) Save(ctx context.Context) (*Snapshot, error) {
	if !m.cfg.RAM.Shared {
		return nil, errors.New("save the machine: its memory is not a file of its own")
	}
	s := &Snapshot{Dir: filepath.Dir(m.cfg.RAM.File), Identity: m.cfg.Identity(), Mapped: true}
	if err := m.migrate(ctx, s); err != nil {
		return nil, fmt.Errorf("save the machine: %w", err)
	}
	m.End(errSaved)
	<-m.done // no more writes to the memory
	return s, s.seal()
}

var errSaved = errors.New("saved")

// Snapshot makes a snapshot in dir, at any moment of the machine's life. The
// machine stands still meanwhile, when atRest is called, and
// goes on afterwards if it ran before; forks start paused.
func (m *Machine) Snapshot(ctx context.Context, dir string, atRest ...func()) (*Snapshot, error) {
	s := &Snapshot{Dir: dir, Identity: m.cfg.Identity(), Paused: true}
	if err := m.still(ctx, func() error {
		for _, do := range atRest {
			do()
		}
		return m.migrate(ctx, s)
	}); err != nil {
		return nil, fmt.Errorf("take a snapshot: %w", err)
	}
	return s, s.seal()
}

// still calls do while the machine stands still.
func (m *Machine) still(ctx context.Context, do func() error) (err error) {
	var status struct{ Running bool }
	if err := m.Execute(ctx, "query-status", nil, &status); err != nil {
		return err
	}
	if status.Running {
		if err := m.Stop(ctx); err != nil {
			return err
		}
		defer func() {
			if back := m.Cont(context.WithoutCancel(ctx)); back != nil && err == nil {
				err = back
			}
		}()
	}
	return do()
}

// unlimited is a bandwidth in bytes per second; QEMU's own limit is for
// networks.
const unlimited = 1 << 40

// migrate writes the state, and unless s is mapped the memory.
func (m *Machine) migrate(ctx context.Context, s *Snapshot) error {
	if err := m.Execute(ctx, "migrate-set-capabilities", capabilities(s.Mapped), nil); err != nil {
		return err
	}
	if err := m.Execute(ctx, "migrate-set-parameters", map[string]any{"max-bandwidth": int64(unlimited)}, nil); err != nil {
		return err
	}
	s.SavedAt = time.Now()
	path := filepath.Join(s.Dir, stateFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // ours to say who may read it
	if err != nil {
		return err
	}
	f.Close()
	uri, written, err := streamOut(m.cfg.QEMU, path)
	if err != nil {
		return err
	}
	if err := m.Execute(ctx, "migrate", map[string]any{"uri": uri}, nil); err != nil {
		return err
	}
	err = m.await(ctx, "query-migrate", func(answer migrationStatus) (bool, error) {
		switch answer.Status {
		case "completed":
			return true, nil
		case "failed", "cancelled":
			return false, fmt.Errorf("QEMU gave up: %s %s", answer.Status, answer.ErrorDesc)
		}
		return false, nil
	})
	if err == nil {
		err = m.poll(ctx, written)
	}
	if err != nil && m.cfg.full() != nil {
		return fmt.Errorf("%w (%v)", m.cfg.full(), err)
	}
	return err
}

// migrationStatus is the part of a MigrationInfo or a StatusInfo that counts.
type migrationStatus struct {
	Status    string `json:"status"`
	ErrorDesc string `json:"error-desc"`
}

// await asks QEMU again and again.
func (m *Machine) await(ctx context.Context, query string, enough func(migrationStatus) (bool, error)) error {
	return m.poll(ctx, func() (bool, error) {
		var answer migrationStatus
		if err := m.Execute(ctx, query, nil, &answer); err != nil {
			return false, err
		}
		return enough(answer)
	})
}

// errEnded is a machine that came to a good end before what was asked for.
var errEnded = errors.New("the machine has ended")

// poll asks again and again, as long as the machine lives.
func (m *Machine) poll(ctx context.Context, enough func() (bool, error)) error {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		if done, err := enough(); done || err != nil {
			return err
		}
		select {
		case <-again.C:
		case <-m.done:
			return cmp.Or(m.death, errEnded)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func capabilities(mapped bool) any {
	return map[string]any{"capabilities": []any{map[string]any{"capability": "x-ignore-shared", "state": mapped}}}
}

// seal writes what Open checks.
func (s *Snapshot) seal() (err error) {
	if s.StateSHA256, err = hashFile(filepath.Join(s.Dir, stateFile)); err != nil {
		return err
	}
	if s.Mapped {
		if s.Sample, err = takeSample(filepath.Join(s.Dir, ramFile)); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.Dir, aboutFile), append(text, '\n'), 0o600); err != nil {
		return err
	}
	return s.note()
}

// Open opens the snapshot in dir, if it is whole as far as can be seen quickly
// (all of the device state, a sample of the memory), and made by this user:
// whoever can write it decides what runs in its forks. The error is a
// *SnapshotError.
func Open(dir string) (*Snapshot, error) {
	s := &Snapshot{Dir: dir}
	if err := s.open(); err != nil {
		var foreign *foreignError
		return nil, &SnapshotError{Dir: dir, Err: err, Foreign: errors.As(err, &foreign)}
	}
	return s, nil
}

func (s *Snapshot) open() error {
	if err := ours(s.Dir); err != nil { // before anything in it is believed
		return err
	}
	text, err := os.ReadFile(filepath.Join(s.Dir, aboutFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, s); err != nil {
		return fmt.Errorf("%s: %w", aboutFile, err)
	}
	files := []string{aboutFile, stateFile}
	if s.Mapped {
		files = append(files, ramFile)
	}
	var errs *multierror.Error
	for _, name := range files {
		if err := ours(filepath.Join(s.Dir, name)); err != nil {
			errs = multierror.Append(errs, err)
		}
	}
	if err := errs.ErrorOrNil(); err != nil {
		return err
	}
	if err := s.note(); err != nil {
		return err
	}
	sum, err := hashFile(filepath.Join(s.Dir, stateFile))
	if err != nil {
		return err
	}
	if sum != s.StateSHA256 {
		return errors.New("the device state changed since it was saved")
	}
	if !s.Mapped {
		return nil
	}
	return s.Sample.check(filepath.Join(s.Dir, ramFile))
}

func hashFile(path string) (string, error) {
	text, err := os.ReadFile(path)
	return fmt.Sprintf("%x", sha256.Sum256(text)), err
}
