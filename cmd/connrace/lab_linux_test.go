package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab/netlabtest"
)

// self is a file called connrace that runs this binary as the program.
func self(t *testing.T) string {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "connrace")
	if err := os.Symlink(binary, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// program is the program with arguments. Built with the race detector it would
// wait for a second at its end, and each process it starts as well.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(self(t), args...)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// ran is how a program ended.
type ran struct {
	stdout, stderr string
	code           int
}

// lab runs connrace lab in a process of its own. Where the system forbids
// namespaces the test is skipped, or fails if that is wanted.
func lab(t *testing.T, args ...string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := program(t, append([]string{"lab"}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	exit, failed := errors.AsType[*exec.ExitError](err)
	if err != nil && !failed {
		t.Fatal(err)
	}
	if failed && exit.ExitCode() == exitNoLab && strings.Contains(stderr.String(), "can't make its namespaces") &&
		os.Getenv(netlabtest.Required) != "1" {
		t.Skip(stderr.String())
	}
	return ran{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// A program that knows nothing of labs gets the lab's names and addresses, and
// the story of what the wire saw follows on stderr.
func TestLabRunsAProgram(t *testing.T) {
	// On a busy machine an answer of DNS or of the winner may be late.
	r := lab(t, example("broken-v6.yaml"), "--", self(t), "race", "site.example:80", "--resolution-delay", "2s", "--max-backups", "0")
	if r.code != exitOK || !strings.Contains(r.stdout, "won over IPv4; IPv6 did not work") {
		t.Errorf("exit code %d; it printed\n%s\n%s", r.code, r.stdout, r.stderr)
	}
	times := regexp.MustCompile(`(?m)^ *\d+\.\d ms`)
	_, story, _ := strings.Cut(strings.TrimSpace(r.stderr), "\n")
	story = times.ReplaceAllString(story, "T")
	// On a busy machine the kernel may send the unanswered SYN again.
	story = strings.Join(slices.Compact(strings.SplitAfter(story+"\n", "\n")), "")
	for what, want := range map[string]string{
		"query": `T  query        site.example. AAAA
T  query        site.example. A
`,
		"packets": `T  SYN          [2001:db8:80::1]:80  blackholed
T  SYN          198.51.100.1:80
T  ESTABLISHED  198.51.100.1:80
T  RST          198.51.100.1:80
`,
	} {
		// The first SYN need not wait for the second question.
		var got string
		for line := range strings.Lines(story) {
			if strings.HasPrefix(line, "T") && strings.Contains(line, " query ") == (what == "query") {
				got += line
			}
		}
		if got != want {
			t.Errorf("%s: the story is\n%swant\n%s", what, story, want)
		}
	}
	if !strings.HasPrefix(story, "  IPv6 is announced and every packet to it vanishes; IPv4 works\n") {
		t.Errorf("the story does not begin with what the file says of itself:\n%s", story)
	}
}

func TestLabExitCodes(t *testing.T) {
	noProgram := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(noProgram, []byte("no program\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("hosts:\n  - address: 127.0.0.1\n    dely: 10ms\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := example("broken-v6.yaml")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-q", file, "--", "true"}, exitOK, ""},
		{[]string{"-q", file, "--", "sh", "-c", "exit 7"}, 7, ""},
		{[]string{"-q", file, "--", "sh", "-c", "kill -9 $$"}, 137, ""},
		{[]string{"-q", file, "--", "sh", "-c", "kill -TERM $$"}, 143, ""},
		{[]string{file, "--", "no-such-program"}, exitNoProgram, "executable file not found"},
		{[]string{file, "--", "/no/such/program"}, exitNoProgram, "no such file"},
		{[]string{file, "--", noProgram}, exitNotRunnable, "permission denied"},
		{[]string{file}, exitUsage, `expected "<command> ..."`},
		{[]string{"no-such-file.yaml", "--", "true"}, exitUsage, "no-such-file.yaml: no such file"},
		{[]string{wrong, "--", "true"}, exitUsage, "wrong.yaml:3:5: hosts[0] has no key \"dely\""},
		{[]string{wrong, "--", "true"}, exitUsage, "a loopback address is not routed"},
	} {
		r := lab(t, c.args...)
		if r.code != c.code || !strings.Contains(r.stderr, c.says) || (c.says == "" && r.stderr != "") {
			t.Errorf("lab %v: exit code %d, want %d; stderr %q, want %q", c.args, r.code, c.code, r.stderr, c.says)
		}
	}
}

// The program's own streams and environment, and the lab's authority.
func TestLabStreams(t *testing.T) {
	cmd := program(t, "lab", "-q", example("slow-tls.yaml"), "--",
		"sh", "-c", `cat; grep -c BEGIN "$SSL_CERT_FILE" "$CURL_CA_BUNDLE" "$NODE_EXTRA_CA_CERTS" | sed 's/.*://'; cat /etc/resolv.conf; echo oops >&2`)
	lab(t, "-q", example("broken-v6.yaml"), "--", "true") // says why, if it can't be
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("from stdin\n"), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err, stderr.String())
	}
	if want := "from stdin\n1\n1\n1\nnameserver 203.0.113.53\n"; stdout.String() != want || stderr.String() != "oops\n" {
		t.Errorf("stdout %q, want %q; stderr %q", &stdout, want, &stderr)
	}
}

// The log has everything, as numbers a program can use.
func TestLabLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.json")
	// With long delays the order is the same on a busy machine.
	r := lab(t, "-q", "--log", path, example("six-addresses.yaml"), "--",
		self(t), "race", "site.example:80", "--resolution-delay", "2s", "--attempt-delay", "1s", "--max-backups", "0")
	if r.code != exitOK {
		t.Fatalf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var record labRecord
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&record); err != nil {
		t.Fatal(err)
	}
	var asked, syns []string
	sockets := make(map[string]bool) // whose kernel may have sent a SYN again
	for _, q := range record.Queries {
		asked = append(asked, q.Name+" "+q.Type+" "+q.Over)
	}
	for _, p := range record.Packets {
		if p.Offset < 0 || p.Offset > record.Took || (p.Arrived != nil && *p.Arrived < p.Offset) || (p.Arrived != nil) != (p.Fate == "delivered") {
			t.Errorf("%+v in a run of %v ms", p, record.Took)
		}
		if p.Kind == "SYN" && !sockets[p.From+p.To] {
			sockets[p.From+p.To] = true
			syns = append(syns, p.To+" "+p.Fate)
		}
	}
	if want := []string{"site.example. AAAA udp", "site.example. A udp"}; !slices.Equal(asked, want) {
		t.Errorf("asked was %v", asked)
	}
	if want := []string{
		"[2001:db8:80::1]:80 blackholed", "198.51.100.1:80 rejected", "[2001:db8:80::2]:80 rejected", "198.51.100.2:80 delivered",
	}; !slices.Equal(syns, want) {
		t.Errorf("SYNs are %v, want %v", syns, want)
	}
	if a := record.Addresses["198.51.100.2"]; a.SYNs != 1 || a.Established != 1 || a.FirstSYN == nil || *a.FirstSYN < 1070 {
		t.Errorf("198.51.100.2 saw %+v: %s", a, text)
	}
	if record.ExitCode != 0 || record.Command[1] != "race" || record.About == "" {
		t.Errorf("the record is of %v: %d, %q", record.Command, record.ExitCode, record.About)
	}
}

// A signal to connrace is one to the program, which decides.
func TestLabPassesSignalsOn(t *testing.T) {
	lab(t, "-q", example("broken-v6.yaml"), "--", "true")
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		cmd := program(t, "lab", "-q", example("broken-v6.yaml"), "--",
			"sh", "-c", `trap "exit 5" TERM INT HUP; echo ready; while :; do sleep 0.05; done`)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 5 {
			t.Errorf("%v: exit code %d, want the program's 5", s, cmd.ProcessState.ExitCode())
		}
	}
}

// A signal is never lost, however early in the life of the two processes it comes: the
// program gets it, or is not run.
func TestLabSignalDuringSetUp(t *testing.T) {
	lab(t, "-q", example("broken-v6.yaml"), "--", "true")
	for i := range 16 {
		s := []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}[i%2]
		cmd := program(t, "lab", "-q", example("broken-v6.yaml"), "--", "sleep", "20")
		began := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 5 * time.Millisecond) // all moments have one right end
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		killed := status.Signaled() && status.Signal() == s // before it had begun
		if code := cmd.ProcessState.ExitCode(); code != 128+int(s) && !killed || time.Since(began) > 15*time.Second {
			t.Errorf("%v after %d ms: exit code %d after %v, want %d", s, i*5, code, time.Since(began), 128+int(s))
		}
	}
}

// Ctrl-C at a terminal reaches the program once, and nobody else ends for it.
func TestLabAtATerminal(t *testing.T) {
	lab(t, "-q", example("broken-v6.yaml"), "--", "true")
	control, terminal := openTerminal(t)
	cmd := program(t, "lab", "-q", example("broken-v6.yaml"), "--",
		"sh", "-c", `n=0; trap 'n=$((n+1))' INT; echo ready
			i=0; while [ $n -eq 0 ] && [ $i -lt 400 ]; do sleep 0.05; i=$((i+1)); done
			i=0; while [ $i -lt 10 ]; do sleep 0.05; i=$((i+1)); done # for a second one
			exit $((10+n))`)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(control, make([]byte, len("ready"))); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 11 {
		t.Errorf("exit code %d, want 11: one Ctrl-C", cmd.ProcessState.ExitCode())
	}
}

// All examples build, and a race in each of them has a winner.
func TestLabExamples(t *testing.T) {
	files, err := filepath.Glob(example("*.yaml"))
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			target := "site.example:80"
			if bytes.Contains(text, []byte("https://")) {
				target = "site.example:443"
			}
			if r := lab(t, "-q", file, "--", self(t), "race", target); r.code != exitOK {
				t.Errorf("%s: exit code %d\n%s%s", target, r.code, r.stdout, r.stderr)
			}
		})
	}
}
