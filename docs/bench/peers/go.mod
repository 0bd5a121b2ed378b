module github.com/switchyard-project/switchyard/docs/bench/peers

go 1.26.0

tool (
	github.com/hugelgupf/vmtest/vminit/shutdownafter
	github.com/u-root/u-root/cmds/core/init
)

require (
	github.com/hugelgupf/vmtest v0.0.0-20240307030256-5d9f3d34a58d
	github.com/u-root/mkuimage v0.0.0-20240216050315-5f527d1fae2e
	github.com/u-root/uio v0.0.0-20240209044354-b3d14b93376a
	golang.org/x/sys v0.30.0
)

require (
	github.com/Netflix/go-expect v0.0.0-20220104043353-73e0943537d2 // indirect
	github.com/creack/pty v1.1.21 // indirect
	github.com/google/goterm v0.0.0-20200907032337-555d40f16ae2 // indirect
	github.com/hugelgupf/go-shlex v0.0.0-20200702092117-c80c9d0918fa // indirect
	github.com/klauspost/compress v1.17.4 // indirect
	github.com/klauspost/pgzip v1.2.6 // indirect
	github.com/pierrec/lz4/v4 v4.1.14 // indirect
	github.com/u-root/gobusybox/src v0.0.0-20240212035024-44ff0bf359ad // indirect
	github.com/u-root/u-root v0.12.1-0.20240114161452-ab3534910ced // indirect
	github.com/ulikunitz/xz v0.5.11 // indirect
	github.com/vishvananda/netlink v1.2.1-beta.2 // indirect
	github.com/vishvananda/netns v0.0.4 // indirect
	golang.org/x/mod v0.23.0 // indirect
	golang.org/x/sync v0.11.0 // indirect
	golang.org/x/tools v0.30.0 // indirect
)
