package netlab

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A signal that came before the program is started ends the lab in its place.
func TestEarlySignal(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	held <- unix.SIGTERM
	_, err := finish(exec.Command("touch", mark), func() {})
	if early, ok := errors.AsType[*SignalError](err); !ok || early.Signal != unix.SIGTERM {
		t.Errorf("the error is %v, want that of SIGTERM", err)
	}
	if _, err := os.Stat(mark); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the program has run: %v", err)
	}
	if code, err := finish(exec.Command("sh", "-c", "exit 4"), func() {}); code != 4 || err != nil {
		t.Errorf("the next one ended with %d, %v; want 4", code, err)
	}
}

// A signal that comes while the program can't have it yet waits until it can.
func TestSignalWaits(t *testing.T) {
	cmd := exec.Command("sh", "-c", `trap "exit 5" USR1; echo ready; for i in $(seq 500); do sleep 0.02; done`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	code, err := finish(cmd, func() {
		if err := unix.Kill(os.Getpid(), unix.SIGUSR1); err != nil {
			t.Error(err)
		}
		if _, err := out.Read(make([]byte, len("ready\n"))); err != nil {
			t.Error(err)
		}
	})
	if code != 5 || err != nil {
		t.Errorf("it ended with %d, %v; want 5", code, err)
	}
}
