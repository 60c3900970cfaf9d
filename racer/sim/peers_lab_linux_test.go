package sim

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	"github.com/connrace/connrace/internal/netlab/netlabtest"
	"github.com/connrace/connrace/internal/netlab/topology"
)

func TestMain(m *testing.M) { os.Exit(netlabtest.Run(m)) }

// The model of a peer does what the program itself does in a lab: the same SYNs to
// the same addresses in the same order, those of the kernel too, at the same times
// since the first one, the first one as long after the question to DNS, and the same
// end.
func TestPeersInTheLab(t *testing.T) {
	netlabtest.Need(t)
	for _, p := range []struct {
		name    string
		program func(*testing.T) program
	}{
		{"net.Dialer", goProgram},
		{"curl", curlProgram},
		{"Node", nodeProgram},
	} {
		t.Run(p.name, func(t *testing.T) {
			program := p.program(t)
			for _, l := range labs {
				t.Run(strings.TrimSuffix(filepath.Base(l.file), ".yaml"), func(t *testing.T) {
					netlabtest.Punctually(t, func(t *testing.T, watch *netlabtest.Watch) {
						want := modelled(t, l.file, program.model(l.limit))
						got := observed(t, l.file, program.command(l.limit))
						compare(t, watch, got, want)
					})
				})
			}
		})
	}
}

// labs are where peers are observed. The limit is the timeout of those that have
// one; it is such that nothing happens within 100 ms of a SYN that the kernel
// repeats.
var labs = []struct {
	file  string
	limit time.Duration
}{
	{example("broken-v6.yaml"), 5 * time.Second},
	{example("refused-first.yaml"), 5 * time.Second},
	{example("prohibited.yaml"), 5 * time.Second},
	{example("slow-aaaa.yaml"), 5 * time.Second},
	{example("lost-syn.yaml"), 5 * time.Second},
	{example("six-addresses.yaml"), 5 * time.Second},
	{"testdata/lab/slow-v6.yaml", 5 * time.Second},
	{"testdata/lab/first-of-three-dead.yaml", 7 * time.Second},
	{"testdata/lab/refused-then-dead.yaml", 5 * time.Second},
	{"testdata/lab/broken-v6-two-v4.yaml", 5 * time.Second},
	{"testdata/lab/hopeless.yaml", 1500 * time.Millisecond},
}

func example(name string) string { return filepath.Join("..", "..", "examples", "lab", name) }

// site is where all labs' programs connect to.
const site, sitePort = "site.example", 80

// program is a peer that is installed here. It prints "connected to ", where to,
// and ":80 ", in brackets or not; and nothing of the kind if it has failed.
type program struct {
	model   func(limit time.Duration) Dialer
	command func(limit time.Duration) *exec.Cmd
}

func goProgram(t *testing.T) program {
	binary := filepath.Join(t.TempDir(), "netdialer")
	if out, err := exec.Command("go", "build", "-o", binary, "../../examples/netdialer").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program{NetDialer, func(limit time.Duration) *exec.Cmd {
		return exec.Command(binary, "-timeout", limit.String(), fmt.Sprint(site, ":", sitePort))
	}}
}

// curlProgram is a curl of the kind that the model is of. Older ones do not sleep
// after a failure, nor do later ones, and since 8.16 they race differently.
func curlProgram(t *testing.T) program {
	out, err := exec.Command("curl", "--version").Output()
	if err != nil {
		t.Skipf("SKIPPED: there is no curl to compare the model with (%v); install one of 7.88 to 8.3, such as Debian 12's package curl", err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(out), "curl %d.%d", &major, &minor); err != nil {
		t.Fatalf("curl --version says %q", out)
	}
	if version := 100*major + minor; version < 788 || version > 803 {
		t.Skipf("SKIPPED: no model is of curl %d.%d; install one of 7.88 to 8.3, such as Debian 12's package curl", major, minor)
	}
	return program{Curl788, func(limit time.Duration) *exec.Cmd {
		return exec.Command("curl", "--silent", "--output", os.DevNull,
			"--connect-timeout", strconv.FormatFloat(limit.Seconds(), 'f', -1, 64),
			"--write-out", "connected to [%{remote_ip}]:80 ", "http://"+site+"/")
	}}
}

func nodeProgram(t *testing.T) program {
	if err := exec.Command("node", "--eval", "net.setDefaultAutoSelectFamily(true)").Run(); err != nil {
		t.Skipf("SKIPPED: there is no Node to compare the model with (%v); install Node 20, such as the package nodejs", err)
	}
	const script = `const s = net.connect({host: %q, port: %d, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 250})
		s.on("error", e => { console.log("failed:", e.code); process.exit(1) })
		s.on("connect", () => { console.log("connected to [" + s.remoteAddress + "]:80 "); process.exit(0) })`
	return program{
		func(time.Duration) Dialer { return Node(0) },
		func(time.Duration) *exec.Cmd {
			return exec.Command("node", "--eval", fmt.Sprintf(script, site, sitePort))
		},
	}
}

// sequence is what a program or its model did. Times are since its first SYN, for
// nobody can say when a program began.
type sequence struct {
	resolved time.Duration // from the first question to the first SYN
	syns     []simSYN
	won      netip.Addr    // invalid: it failed
	end      time.Duration // when it won or failed
}

func (s sequence) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%v after the question: ", s.resolved.Round(precision))
	for _, syn := range s.syns {
		fmt.Fprintf(&text, "%v %v %s, ", syn.at.Round(precision), syn.to, syn.what())
	}
	if !s.won.IsValid() {
		return fmt.Sprintf("%s%v failed", &text, s.end.Round(precision))
	}
	return fmt.Sprintf("%s%v won %v", &text, s.end.Round(precision), s.won)
}

// precision is that of times in messages.
const precision = 100 * time.Microsecond

func (s simSYN) what() string {
	if s.repeat > 0 {
		return "again"
	}
	return "SYN"
}

// modelled is what a model does in the world that a lab's file describes.
func modelled(t *testing.T, file string, d Dialer) sequence {
	t.Helper()
	described, err := topology.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := FromLab(described, site, sitePort)
	if err != nil {
		t.Fatal(err)
	}
	var r runner
	result := r.run(&w, d)
	s := sequence{syns: synsOf(&r.host)}
	s.resolved = s.syns[0].at
	s.end = result.Time - s.resolved
	for i := range s.syns {
		s.syns[i].at -= s.resolved
	}
	if result.Connected {
		s.won = w.Backends[result.Backend].Addr
	}
	return s
}

// observed is what a program does in a lab.
func observed(t *testing.T, file string, cmd *exec.Cmd) sequence {
	t.Helper()
	scene := netlabtest.Build(t, file)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if _, err := netlab.Run(cmd); err != nil {
		t.Fatal(err)
	}
	ended := time.Now()
	var s sequence
	if m := connectedTo.FindStringSubmatch(out.String()); m != nil {
		s.won = netip.MustParseAddr(m[1])
	}
	packets := clientPackets(t, scene, s.won)
	questions := scene.DNS.Log()
	if len(packets) == 0 || len(questions) == 0 {
		t.Fatalf("it asked %d questions and sent %d packets; it printed %q", len(questions), len(packets), &out)
	}
	first := scene.Time(packets[0].Sent)
	s.resolved, s.end = first.Sub(questions[0].At), ended.Sub(first)
	sent := make(map[netip.AddrPort]int)
	for _, p := range packets {
		at := scene.Time(p.Sent).Sub(first)
		switch {
		case p.Kind == link.SYN:
			s.syns = append(s.syns, simSYN{to: p.To.Addr(), at: at, repeat: sent[p.From]})
			sent[p.From]++
		case p.Kind == link.Established && p.To.Addr() == s.won:
			s.end = at
		}
	}
	return s
}

var connectedTo = regexp.MustCompile(`connected to \[?([0-9a-f.:]+?)\]?:80 `)

// clientPackets are those of the client that begin connections, once the one that
// tells of the winner is there. Others can be older: the client's kernel still ends
// connections of the lab before.
func clientPackets(t *testing.T, scene *netlab.Scene, won netip.Addr) []link.Packet {
	t.Helper()
	const limit = 10 * time.Second
	for deadline := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		packets, err := scene.Packets()
		if err != nil {
			t.Fatal(err)
		}
		packets = slices.DeleteFunc(packets, func(p link.Packet) bool {
			return p.By != link.Client || p.Kind != link.SYN && p.Kind != link.Established
		})
		there := slices.ContainsFunc(packets, func(p link.Packet) bool { return p.Kind == link.Established && p.To.Addr() == won })
		if there || !won.IsValid() {
			return packets
		}
		if time.Now().After(deadline) {
			t.Fatalf("the lab has not seen a connection to %v within %v", won, limit)
		}
	}
}

// kernelSlack is what a kernel's timer may be late by with each repeat of a SYN, on
// top of netlabtest.Slack: at 250 Hz a timeout of a second is counted in steps of
// 32 ms.
const kernelSlack = 32 * time.Millisecond

func compare(t *testing.T, watch *netlabtest.Watch, got, want sequence) {
	t.Helper()
	t.Logf("program %v", got)
	t.Logf("model   %v", want)
	same := func(a, b simSYN) bool { return a.to == b.to && a.repeat == b.repeat }
	if !slices.EqualFunc(got.syns, want.syns, same) || got.won != want.won {
		watch.Doubt("the program and its model differ") // as they do where it has started something late
		return
	}
	repeats := 0 // of the winner's SYN
	for i, syn := range got.syns {
		what := fmt.Sprintf("%v %s %d", syn.to, syn.what(), syn.repeat)
		near(watch, what, syn.at, want.syns[i].at, syn.repeat)
		if syn.to == got.won {
			repeats = syn.repeat
		}
	}
	near(watch, "the end", got.end, want.end, repeats)
	near(watch, "the first SYN, from the first question", got.resolved, want.resolved, 0)
}

// near holds that a time is near that of the model. It can be early: all count from
// the first SYN, which can be late itself.
func near(watch *netlabtest.Watch, what string, got, want time.Duration, repeats int) {
	most := netlabtest.Slack + time.Duration(repeats)*kernelSlack
	watch.Between(fmt.Sprintf("%s: %v of the program off %v of the model", what, got, want), (got - want).Abs(), 0, most)
}
