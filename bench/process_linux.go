package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a server that was started, in a process of its own.
type process struct {
	name string
	at   string // where it listens
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// startProcess starts a server and waits until it listens at addr. What it writes goes
// to /dev/null.
func startProcess(name, at string, command ...string) (*process, error) {
	p := &process{name: name, at: at, cmd: exec.Command(command[0], command[1:]...), done: make(chan struct{})} //nolint:noctx // stop ends it
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // ready tells of one that has ended
	}()
	if err := p.ready(); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (p *process) ready() error {
	const pause, limit = 20 * time.Millisecond, 10 * time.Second
	dialer := net.Dialer{Timeout: time.Second}
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		conn, err := dialer.DialContext(context.Background(), "tcp", p.at)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s has ended: %v; run it to see why: %v", p.name, p.cmd.ProcessState, p.cmd)
		case <-time.After(pause):
		}
	}
	return fmt.Errorf("%s does not listen at %s after %v", p.name, p.at, limit)
}

// stop ends it, and returns when it has ended.
func (p *process) stop() { p.stopWithin(5 * time.Second) }

// stopWithin kills it when it has not ended by then.
func (p *process) stopWithin(limit time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
		return
	case <-time.After(limit):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// cpuTime is what a process has used since it began, all threads, user and system:
// the clock of another process that clock_getcpuclockid returns.
func cpuTime(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, os.NewSyscallError("clock_gettime of another process", err)
	}
	return time.Duration(t.Nano()), nil
}
