package vm

import (
	"path/filepath"
	"testing"

	"github.com/switchyard-project/switchyard/kernels"
)

func testKit(t testing.TB, v string) *kernels.Kit {
	d, l, n, rel := "/tmp/dev/linux-image-6.1.0-56-cloud-amd64", "lib", "61", "6.1.0-56-cloud-amd64"
	if v == "6.12" {
		d, l, n, rel = "/tmp/dev/linux-image-6.12.117+deb13-cloud-amd64", "usr/lib", "612", "6.12.117+deb13-cloud-amd64"
	}
	return &kernels.Kit{Release: rel, Dir: d, VMLinux: "/tmp/vmdev/v" + n, BZImage: "/tmp/vmdev/b" + n,
		ConfigFile: filepath.Join(d, "boot/config-"+rel), ModulesDir: filepath.Join(d, l, "modules", rel)}
}
