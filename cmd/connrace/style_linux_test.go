package main

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A terminal has its own width, and colours unless NO_COLOR is set or it is dumb.
func TestStyleOfTerminal(t *testing.T) {
	_, terminal := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 72}); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		noColor, term string
		want          style
	}{
		{"", "xterm", style{width: 72, color: true}},
		{"1", "xterm", style{width: 72}},
		{"", "dumb", style{width: 72}},
	} {
		t.Setenv("NO_COLOR", c.noColor)
		t.Setenv("TERM", c.term)
		if got := styleOf(terminal); got != c.want {
			t.Errorf("NO_COLOR=%q TERM=%q: got %+v, want %+v", c.noColor, c.term, got, c.want)
		}
	}
}

// openTerminal returns a pseudo-terminal and what a person would hold of it; the
// test is skipped where there are none.
func openTerminal(t *testing.T) (control, terminal *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = control.Close() })
	fd := int(control.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Skip(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Skip(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return control, terminal
}
