package netlab

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/topology"
)

// insideVariable tells the second process that it is the second, and whose it
// is: "uid:gid" outside. It is taken out of the environment at once.
const insideVariable = "CONNRACE_LAB_INSIDE"

// readyFile is a pipe that the second process closes when signals reach it: it is the
// first one of its namespace, for which the kernel drops those it does not handle yet.
const readyFile = 3

// Enter makes the running program the client host of a lab: it runs the program
// once more, with the same arguments, inside new namespaces (user, network,
// mount, process), and waits for it.
//
// In the process that was there first, Enter returns inside = false and the
// exit code of the second one, which the caller passes on by [os.Exit]. In the
// second one it returns inside = true, and [Start] works from then on. Whatever
// a program does before Enter it does twice, so call it first.
//
// The second process has the first one's standard streams, gets its signals,
// and dies with it, however it dies, and so does everything it has started.
//
// Where the system forbids it, the error is a [*ForbiddenError].
func Enter() (code int, inside bool, err error) {
	link.Main() // does not return in the process that is a lab's link
	owner, second := os.LookupEnv(insideVariable)
	if !second {
		code, err = runAgain()
		return code, false, err
	}
	if err := os.Unsetenv(insideVariable); err != nil {
		return 0, true, err
	}
	return 0, true, settle(owner)
}

// insider is the second process's knowledge of itself. Enter sets it, once.
var insider struct {
	settled  bool // this process is a client host
	uid, gid int  // who started the program, as seen outside
}

// settle makes the new namespaces fit to live in.
func settle(owner string) error {
	uid, gid, found := strings.Cut(owner, ":")
	id, errU := strconv.Atoi(uid)
	group, errG := strconv.Atoi(gid)
	if !found || errU != nil || errG != nil {
		return fmt.Errorf("netlab: %s is %q: it is the lab's own, do not set it", insideVariable, owner)
	}
	insider.uid, insider.gid = id, group
	if err := ownMounts(); err != nil {
		return forbidden("keep mounts to itself", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return forbidden("look at its loopback", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return forbidden("switch on its loopback", err)
	}
	// Most labs have their name server here. Who reads the configuration before it
	// is there need not read it again, which Go's resolver does only every 5 s.
	if err := coverConfiguration(netip.MustParseAddr(topology.DefaultResolver)); err != nil && !errors.Is(err, fs.ErrNotExist) { // UseResolver says what to do
		return forbidden("have a name server of its own", err)
	}
	insider.settled = true
	return os.NewSyscallError("close", unix.Close(readyFile))
}

// ownMounts sees that no mount made here is seen outside, and that /proc shows
// the processes of the lab where that is allowed; a container may forbid it, and
// what the lab itself reads there is the same in both.
func ownMounts() error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	return nil
}

// runAgain returns the exit code of the second process.
func runAgain() (int, error) {
	// The second process is to die with this one. The kernel means the thread
	// that forked it, so this thread stays until the other has ended.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...) //nolint:noctx // it ends when it likes; signals reach it
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%d", insideVariable, os.Geteuid(), os.Getegid()))
	ready, told, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer func() { _ = errors.Join(ready.Close(), told.Close()) }() // whoever comes to that first
	cmd.ExtraFiles = []*os.File{told}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	code, err := finish(cmd, func() {
		_ = told.Close()
		_, _ = io.Copy(io.Discard, ready) // to its end: closed, or gone with its process
	})
	if early, ok := errors.AsType[*SignalError](err); ok {
		return signalled(early.Signal), nil
	}
	if err != nil {
		return 0, forbidden("make its namespaces", err)
	}
	return code, nil
}
