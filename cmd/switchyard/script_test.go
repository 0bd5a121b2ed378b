// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/switchyard-project/switchyard/kernels/store"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"switchyard":       func() { os.Exit(realMain(os.Args[1:])) },
		"switchyard-forge": func() { os.Exit(forge(os.Args[1:])) },
	})
}

// TestScripts holds the command line to the promises of the README, one
// script for each. They share the default cache, so that kernels are fetched
// once; a script that wants an empty one sets SWITCHYARD_CACHE.
func TestScripts(t *testing.T) {
	cache, err := store.DefaultDir()
	if err != nil {
		t.Fatal(err)
	}
	testdata, err := filepath.Abs("../../cases/testdata")
	if err != nil {
		t.Fatal(err)
	}
	crowd, err := filepath.Abs("testdata/crowd")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"status": status},
		Setup: func(e *testscript.Env) error {
			e.Setenv("SWITCHYARD_CACHE", cache)
			e.Setenv("CACHE", cache)
			e.Setenv("TESTDATA", testdata)
			e.Setenv("CROWD", crowd)
			// What go needs to build the agent.
			for _, name := range []string{"HOME", "GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS", "GOPROXY", "SWITCHYARD_DEBIAN_MIRROR", "SWITCHYARD_ACCEL"} {
				if v, ok := os.LookupEnv(name); ok {
					e.Setenv(name, v)
				}
			}
			return nil
		},
	})
}

// status N COMMAND… runs a command and wants exit status N of it. Its output
// is there for stdout and stderr, as after exec.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if want, err := strconv.Atoi(args[0]); err != nil || got != want {
		ts.Fatalf("exit status %d, expected %s", got, args[0])
	}
}
