//go:build linux

package netlabtest_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
)

// These tests stand outside of any lab and look at programs that go into one.
// The program is the test binary, with a role.

const roleVariable = "CONNRACE_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(outside(m))
	}
	os.Exit(roles[role](m))
}

// outside runs the tests, or the link of a program's lab, which is this binary too.
func outside(m *testing.M) int {
	link.Main()
	code := m.Run()
	if path, err := copied(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	return code
}

var roles = map[string]func(*testing.M) int{
	"up":          func(*testing.M) int { return inside(func() error { return nil }) },
	"program":     func(*testing.M) int { return inside(runProgram) },
	"hold":        func(*testing.M) int { return inside(hold) },
	"no userns":   func(*testing.M) int { return refused(forbidByLimit()) },
	"seccomp":     func(*testing.M) int { return refused(forbidBySeccomp()) },
	"tests":       netlabtest.Run,
	"tests, none": func(m *testing.M) int { must(forbidBySeccomp()); return netlabtest.Run(m) },
}

// inside makes a lab, connects through it, and calls f before it ends.
func inside(f func() error) int {
	code, inside, err := netlab.Enter()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if !inside {
		return code
	}
	must(connect(f))
	return 0
}

func connect(f func() error) error {
	lab, err := netlab.Start(netlab.Config{})
	if err != nil {
		return err
	}
	for _, at := range []string{"198.51.100.1:80", "[2001:db8:80::1]:80"} {
		at := netip.MustParseAddrPort(at)
		if err := lab.SetPath(at.Addr(), link.Path{Delay: time.Millisecond}); err != nil {
			return err
		}
		if _, err := lab.Serve(at, netlab.Read()); err != nil {
			return err
		}
		c, err := net.DialTimeout("tcp", at.String(), patience)
		if err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	fmt.Println("connected as", os.Getuid())
	return errors.Join(f(), lab.Close())
}

// runProgram runs another program in the client host.
func runProgram() error {
	cmd := exec.Command("sh", "-c", "echo a program is $(id -u):$(id -g); exit 3")
	cmd.Stdout = os.Stdout
	code, err := netlab.Run(cmd)
	fmt.Println("it ended with", code)
	return err
}

// hold stays until it is killed, with a program beside it.
func hold() error {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		return err
	}
	fmt.Println("holding")
	return cmd.Wait()
}

func refused(err error) int {
	must(err)
	_, inside, err := netlab.Enter()
	fmt.Println("inside:", inside)
	fmt.Println(err)
	return 0
}

// forbidByLimit works in a user namespace of its own.
func forbidByLimit() error {
	return os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
}

// forbidBySeccomp does what Docker's default profile does.
func forbidBySeccomp() error {
	runtime.LockOSThread()
	const allow, deny, none = 0x7fff0000, 0x00050000 | uint32(unix.EPERM), 0x00050000 | uint32(unix.ENOSYS)
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 4}, // the call's number
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_UNSHARE, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_CLONE3, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_CLONE, SkipTrue: 4},
		bpf.LoadAbsolute{Off: 16, Size: 4}, // its first argument
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: unix.CLONE_NEWUSER, SkipTrue: 2},
		bpf.RetConstant{Val: deny},
		bpf.RetConstant{Val: none},
		bpf.RetConstant{Val: allow},
	})
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(program))
	for i, in := range program {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return errno
	}
	return nil
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(9)
	}
}

const patience = 20 * time.Second

// copied is this binary where anybody can run it. It is written before the first
// fork: a child that still has the descriptor would keep it from being run.
var copied = sync.OnceValues(func() (path string, err error) {
	dir, err := os.MkdirTemp("/tmp", "netlabtest") // TMPDIR may be one's own
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "program")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, self, 0o755); err != nil {
		return "", err
	}
	return path, os.Chmod(path, 0o755) // whatever the umask
})

// program is this binary in a role.
func program(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := copied()
	wantNil(t, err)
	cmd := exec.Command(path, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), roleVariable+"="+role, "TMPDIR=/tmp", // which is anybody's
		"GORACE=atexit_sleep_ms=0") // or it waits a second at its end
	cmd.WaitDelay = patience
	return cmd
}

func wantNil(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run returns what cmd printed. Where the system forbids namespaces, and nothing
// but then, the test is skipped.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(string(out), "the lab can't make its namespaces") && os.Getenv(netlabtest.Required) != "1" {
		t.Skip(string(out))
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// Whoever runs the tests may enter; in there everybody is root. Root itself is an
// ordinary user to a second one.
func TestEnters(t *testing.T) {
	if out := run(t, program(t, "up")); out != "connected as 0\n" {
		t.Errorf("it printed %q", out)
	}
}

// As an ordinary user, where the tests are run by root and can try. Elsewhere
// TestEnters is that test.
func TestEntersAsOrdinaryUser(t *testing.T) {
	cmd := program(t, "up")
	if os.Geteuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	if out := run(t, cmd); out != "connected as 0\n" {
		t.Errorf("it printed %q", out)
	}
}

// A program in the lab runs as the user who called, not as the lab's root.
func TestProgramIsTheCallers(t *testing.T) {
	for _, id := range []int{os.Geteuid(), 65534} {
		cmd := program(t, "program")
		group := os.Getegid()
		if id != os.Geteuid() {
			if os.Geteuid() != 0 {
				continue // only root can be somebody else
			}
			group = id
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(id), Gid: uint32(group)}}
		}
		want := fmt.Sprintf("connected as 0\na program is %d:%d\nit ended with 3\n", id, group)
		if out := run(t, cmd); out != want {
			t.Errorf("it printed %q, want %q", out, want)
		}
	}
}

// Many labs with the same addresses side by side, also one in another.
func TestBesideItself(t *testing.T) {
	run(t, program(t, "up"))
	var all sync.WaitGroup
	for range 8 {
		cmd := program(t, "up")
		all.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	all.Wait()
}

// Whatever kills the process that a person started, and without a word: nothing
// of the lab lives on, neither its link nor what was started in it.
func TestKilled(t *testing.T) {
	run(t, program(t, "up"))
	for name, victim := range map[string]func(outer int) int{
		"the outer process": func(outer int) int { return outer },
		"the inner process": func(outer int) int { return children(t, outer)[0] },
	} {
		t.Run(name, func(t *testing.T) {
			cmd := program(t, "hold")
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			wantNil(t, err)
			wantNil(t, cmd.Start())
			text := make([]byte, 100)
			for said := ""; !strings.Contains(said, "holding"); {
				n, err := out.Read(text)
				wantNil(t, err)
				said += string(text[:n])
			}
			family := descendants(t, cmd.Process.Pid)
			if len(family) != 4 { // outer, inner, link, sleep
				t.Errorf("the processes are %v, want 4", family)
			}
			wantNil(t, syscall.Kill(victim(cmd.Process.Pid), syscall.SIGKILL))
			_ = cmd.Wait()
			for _, pid := range family {
				for deadline := time.Now().Add(patience); alive(pid); time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("process %d lives %v after its lab was killed", pid, patience)
					}
				}
			}
		})
	}
}

// alive counts a zombie that nobody has waited for as dead.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func descendants(t *testing.T, pid int) []int {
	all := []int{pid}
	for _, c := range children(t, pid) {
		all = append(all, descendants(t, c)...)
	}
	return all
}

func children(t *testing.T, pid int) (found []int) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	wantNil(t, err)
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(word)
			wantNil(t, err)
			found = append(found, child)
		}
	}
	return found
}

// A system that forbids namespaces is told apart by its setting.
func TestForbidden(t *testing.T) {
	run(t, program(t, "up"))
	for role, says := range map[string][]string{
		"no userns": {"the lab can't make its namespaces", "user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces="},
		"seccomp":   {"the lab can't make its namespaces", "operation not permitted", "seccomp", "--security-opt seccomp=unconfined"},
	} {
		cmd := program(t, role)
		if role == "no userns" { // root of a user namespace may set its limit
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  unix.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
			}
		}
		out := run(t, cmd)
		for _, want := range append(says, "inside: false") {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in %q", role, want, out)
			}
		}
	}
}

// TestRole is what the tests below have another process run.
func TestRole(t *testing.T) {
	if os.Getenv(roleVariable) == "" {
		return // it is itself no test
	}
	lab := netlabtest.Start(t, netlab.Config{})
	if err := lab.SetPath(netip.MustParseAddr("198.51.100.1"), link.Path{}); err != nil {
		t.Error(err)
	}
}

// Tests in a lab run where they can; where they can't they are skipped, loudly,
// or fail if the variable says so.
func TestSkipsLoudlyOrFails(t *testing.T) {
	run(t, program(t, "up"))
	flags := []string{"-test.run=^TestRole$", "-test.v"}
	out := run(t, program(t, "tests", flags...))
	if !strings.Contains(out, "--- PASS: TestRole") {
		t.Errorf("in a lab: %s", out)
	}
	for required, verdict := range map[string]string{"": "--- SKIP: TestRole", "1": "--- FAIL: TestRole"} {
		cmd := program(t, "tests, none", flags...)
		cmd.Env = append(cmd.Env, netlabtest.Required+"="+required)
		raw, err := cmd.CombinedOutput()
		if (err != nil) != (required == "1") {
			t.Errorf("required %q: %v", required, err)
		}
		for _, want := range []string{verdict, "--security-opt seccomp=unconfined"} {
			if !strings.Contains(string(raw), want) {
				t.Errorf("required %q: no %q in %s", required, want, raw)
			}
		}
	}
}
