// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFactsAreWellFormed(t *testing.T) {
	for i, f := range facts {
		if i > 0 && facts[i-1].name == f.name {
			assert.Equal(t, facts[i-1].means, f.means, "alternatives of one capability mean the same")
		} else {
			first := slices.IndexFunc(facts, func(g fact) bool { return g.name == f.name })
			assert.Equal(t, i, first, "rows of %s stand together", f.name)
		}
		assert.Regexp(t, `^[a-z0-9-]+$`, string(f.name))
		assert.NotEmpty(t, f.means, f.name)
		assert.Regexp(t, `^(kernel: .*(commit [0-9a-f]{12} \(|Documentation/|Kconfig)|measured by us: )`, f.source, f.name)
		for _, series := range []string{f.since, f.until} {
			if series != "" {
				assert.Regexp(t, `^[0-9]+\.[0-9]+$`, series, f.name)
			}
		}
		if f.since != "" && f.until != "" {
			assert.True(t, atLeast(f.until, f.since), f.name)
		}
		for _, o := range f.config {
			assert.NotEmpty(t, o.names)
			for _, name := range o.names {
				assert.Regexp(t, `^CONFIG_`, name)
			}
			assert.NotEmpty(t, o.values)
		}
		means, source := f.name.Means()
		assert.Equal(t, f.means, means)
		assert.NotEmpty(t, source)
	}
}

// Every constant of type Capability has its row.
func TestEveryCapabilityIsInTheTable(t *testing.T) {
	source, err := os.ReadFile("capability.go")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`Capability = "([^"]+)"`).FindAllSubmatch(source, -1) {
		assert.Contains(t, Capabilities(), Capability(m[1]))
	}
}

func configured(t *testing.T, version, config string) *Kit {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o644))
	return &Kit{Version: version, ConfigFile: file}
}

func TestCan(t *testing.T) {
	const live = "CONFIG_LIVEPATCH=y\nCONFIG_PREEMPT_DYNAMIC=y\nCONFIG_HAVE_PREEMPT_DYNAMIC_CALL=y\n# CONFIG_NET_9P is not set\n"
	for _, c := range []struct {
		version, config string
		capability      Capability
		want            bool
	}{
		{"6.1.192-2", live, SysfsReplace, false},
		{"6.11-1", live, SysfsReplace, true},
		{"6.12.117-1", live, SysfsReplace, true},
		{"6.12.117-1", live, SysfsStackOrder, false},
		{"7.0-1", live, SysfsStackOrder, true},
		{"6.3.1-1", live, CondReschedSwitching, false},
		{"6.4-1", live, CondReschedSwitching, true},
		{"6.15.9-1", live, CondReschedSwitching, true},
		{"6.15.9-1", live, ScheduleSwitching, false},
		{"6.16.12-1", live, CondReschedSwitching, false},
		{"6.16.12-1", live, ScheduleSwitching, true},
		{"6.16.12-1", live, SlowDynamicPreemptTCG, false},
		{"7.1-1", live, CondReschedSwitching, false},
		{"5.10.1-1", live, FtraceRegs, false},
		{"5.11-1", live, FtraceRegs, true},
		{"6.12.117-1", live, SlowDynamicPreemptTCG, true},
		{"6.12.117-1", "CONFIG_LIVEPATCH=y\n", SlowDynamicPreemptTCG, false},
		{"6.1.192-2", live, SlowDynamicPreemptTCG, false},
		{"6.12.117-1", "", SysfsReplace, false},
		{"6.12.117-1", live, NineP, false},
		{"6.1-1", "CONFIG_VIRTIO_CONSOLE=m\n", VirtioModules, true},
		{"6.1-1", "CONFIG_VIRTIO_CONSOLE=y\n", VirtioModules, false},
		{"6.1-1", live, "no-such-thing", false},
		{"6.2.1-1", live, TargetReload, false},
		{"6.3-1", live, TargetReload, true},
		{"5.15.9-1", live + "CONFIG_SMP=y\n", IdleWakeUp, false},
		{"5.16-1", live + "CONFIG_SMP=y\n", IdleWakeUp, true},
		{"5.15.9-1", "CONFIG_KRETPROBES=y\n", KretprobeUnwinding, false},
		{"5.16-1", "CONFIG_KRETPROBES=y\n", KretprobeUnwinding, true},
		{"5.10.262-1", "CONFIG_PVPANIC=m\n", PVPanic, true},
		{"6.1.192-2", "CONFIG_PVPANIC=y\n", PVPanic, false},
		{"6.1.192-2", "CONFIG_PVPANIC=y\nCONFIG_PVPANIC_MMIO=m\n", PVPanic, true},
		{"6.6.3", "CONFIG_MODULE_COMPRESS_ZSTD=y\n", CompressedModules, true},
		{"6.6.3", "CONFIG_MODULE_COMPRESS_NONE=y\n", CompressedModules, false},
	} {
		assert.Equal(t, c.want, configured(t, c.version, c.config).Can(c.capability), "%s of %s", c.capability, c.version)
	}
}

// Capabilities says what Can says, of every capability.
func TestCapabilitiesOfAKit(t *testing.T) {
	for _, k := range []*Kit{
		configured(t, "6.12.117-1", "CONFIG_LIVEPATCH=y\nCONFIG_PVPANIC_MMIO=m\n# CONFIG_NET_9P is not set\nCONFIG_CC_VERSION_TEXT=\"gcc = 14\"\n"),
		configured(t, "5.10.262-1", "CONFIG_PVPANIC=m\nCONFIG_LIVEPATCH=m\n"),
		{Version: "6.12.117-1"},
	} {
		var want []Capability
		for _, c := range Capabilities() {
			if k.Can(c) {
				want = append(want, c)
			}
		}
		assert.Equal(t, want, k.Capabilities())
	}
}

// Of a kernel without a config the table says nothing where the config decides.
func TestKnows(t *testing.T) {
	bare := &Kit{Version: "6.12.117-1"}
	assert.True(t, bare.Knows(FtraceRegs))
	assert.True(t, bare.Can(FtraceRegs))
	assert.False(t, bare.Knows(ORC))
	assert.False(t, bare.Can(ORC))
	assert.True(t, configured(t, "6.12.117-1", "").Knows(ORC))
}

func TestConfigValue(t *testing.T) {
	k := configured(t, "6.1", "# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_BB=m\nCONFIG_C=\"a b\"\nCONFIG_D=0x10\n")
	for option, want := range map[string]string{"CONFIG_A": "", "CONFIG_B": "y", "CONFIG_BB": "m", "CONFIG_C": "a b", "CONFIG_D": "0x10", "CONFIG_": ""} {
		assert.Equal(t, want, k.ConfigValue(option), option)
	}
	sum, err := k.ConfigSHA256()
	require.NoError(t, err)
	assert.Len(t, sum, 64)
	none := &Kit{}
	assert.Empty(t, none.ConfigValue("CONFIG_B"))
	sum, err = none.ConfigSHA256()
	require.NoError(t, err)
	assert.Empty(t, sum)
}

func TestVersions(t *testing.T) {
	for _, c := range []struct{ text, upstream, series string }{
		{"6.12.117-1", "6.12.117", "6.12"}, {"6.1.0-56-cloud-amd64", "6.1.0", "6.1"}, {"6.12.117+deb13-amd64", "6.12.117", "6.12"},
		{"6.16.3-1~bpo13+1", "6.16.3", "6.16"}, {"7.0~rc3-1~exp1", "7.0", "7.0"}, {"6.6.3", "6.6.3", "6.6"}, {"junk", "", ""},
	} {
		assert.Equal(t, c.upstream, UpstreamVersion(c.text))
		assert.Equal(t, c.series, Series(c.text))
	}
	for _, ordered := range [][2]string{{"6.9-1", "6.12-1"}, {"6.12.117-1~deb12u1", "6.12.117-1"}, {"7.0~rc3-1", "7.0-1"}, {"6.1.176-1", "6.1.192-2"}} {
		assert.Negative(t, CompareVersions(ordered[0], ordered[1]))
		assert.Positive(t, CompareVersions(ordered[1], ordered[0]))
	}
}

func TestKitFile(t *testing.T) {
	made := t.TempDir()
	k := &Kit{Release: "r", Dir: made, VMLinux: made + "/vmlinux", ModulesDir: made + "/lib/modules/r", HeadersDir: "/usr/src/h",
		Mounts: []Mount{{made + "/usr/src", "/usr/src"}, {"/elsewhere", "/x"}}}
	require.NoError(t, WriteKitFile(k))
	moved := filepath.Join(t.TempDir(), "final")
	require.NoError(t, os.Rename(made, moved))
	got, err := ReadKitFile(moved)
	require.NoError(t, err)
	assert.Equal(t, &Kit{Release: "r", Dir: moved, VMLinux: moved + "/vmlinux", ModulesDir: moved + "/lib/modules/r", HeadersDir: "/usr/src/h",
		Mounts: []Mount{{moved + "/usr/src", "/usr/src"}, {"/elsewhere", "/x"}}}, got)
	_, err = ReadKitFile(t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
}
