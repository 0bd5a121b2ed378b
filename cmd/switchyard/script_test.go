// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/switchyard-project/switchyard/kernels/store"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"switchyard": func() { os.Exit(realMain(os.Args[1:])) },
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
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("SWITCHYARD_CACHE", cache)
			e.Setenv("TESTDATA", testdata)
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
