package main

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"

	"github.com/connrace/connrace/internal/netlab"
)

// startDaemon builds and starts `connrace serve`, as anybody would.
func startDaemon(dir string) (*process, error) {
	path := filepath.Join(dir, "connrace")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/connrace") //nolint:noctx // it ends by itself
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build ./cmd/connrace (run bench at the top of the repository): %w\n%s", err, out)
	}
	at, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return startProcess("connrace serve", at, path, "serve", "--listen", at)
}

// startServer starts a worker that serves RPCs over TCP and at the path, with the
// targets of those that only race.
func startServer(self, path string, targets []string) (*process, error) {
	at, err := freeAddress()
	if err != nil {
		return nil, err
	}
	args := []string{self, workerCommand, serverWorker, "-tcp", at, "-unix", path}
	return startProcess("server", at, append(args, targets...)...)
}

// freeAddress is one of loopback that nobody listens at.
func freeAddress() (string, error) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	port, err := netlab.FreePort(loopback)
	return netip.AddrPortFrom(loopback, port).String(), err
}
