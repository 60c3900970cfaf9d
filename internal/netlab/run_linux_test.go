package netlab

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A signal that came before the program is started ends the lab in its place.
func TestEarlySignal(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	held = newHold()
	held.caught <- unix.SIGTERM
	_, err := finish(exec.Command("touch", mark), nil)
	if early, ok := errors.AsType[*SignalError](err); !ok || early.Signal != unix.SIGTERM {
		t.Errorf("the error is %v, want that of SIGTERM", err)
	}
	if _, err := os.Stat(mark); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the program has run: %v", err)
	}
	held = nil
	if code, err := finish(exec.Command("sh", "-c", "exit 4"), nil); code != 4 || err != nil {
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

// Only the first signal is held: who means it sends another one, which has the effect
// that it has without.
func TestOnlyTheFirstSignalIsHeld(t *testing.T) {
	others := make(chan os.Signal, 16) // else the second one would end this process
	signal.Notify(others, unix.SIGUSR1, unix.SIGUSR2)
	defer signal.Stop(others)
	h := newHold()
	signal.Notify(h.caught, unix.SIGUSR1, unix.SIGUSR2)
	for _, s := range []syscall.Signal{unix.SIGUSR1, unix.SIGUSR2, unix.SIGUSR2} {
		if err := unix.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		if got := <-others; got != s {
			t.Fatalf("%v has come, want %v", got, s)
		}
		<-h.over
	}
	if n := len(h.caught); n != 0 {
		t.Errorf("%d more are held", n)
	}
	if first := h.end(); first != unix.SIGUSR1 {
		t.Errorf("held is %v", first)
	}
	if first := h.end(); first != unix.SIGUSR1 {
		t.Errorf("asked again it is %v", first)
	}
	if first := newHold().end(); first != nil {
		t.Errorf("without any it is %v", first)
	}
}
