package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/connrace/connrace/internal/netlab"
	"github.com/connrace/connrace/internal/netlab/link"
	pb "github.com/connrace/connrace/proto/connrace/v1"
)

func TestMain(m *testing.M) {
	link.Main()           // a lab's link is this binary too
	time.Local = time.UTC //nolint:gosmopolitan // golden files hold clock times
	testscript.Main(m, map[string]func(){"connrace": main})
}

// TestScript runs the command line as a user does. Beside testscript's own
// commands the scripts have those of scriptCommands.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Cmds:                scriptCommands,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits":  scriptExits,
	"reply":  scriptReply,
	"host":   scriptHost,
	"dns":    scriptDNS,
	"port":   scriptPort,
	"listen": scriptListen,
	"signal": scriptSignal,
}

// scriptExits runs the command line inside this process, which takes a hundredth
// of the time of another one, and demands an exit code: exits CODE connrace ARG...
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 || args[1] != "connrace" {
		ts.Fatalf("usage: exits CODE connrace ARG...")
	}
	got := run(context.Background(), args[2:], ts.Stdout(), ts.Stderr())
	if want := args[0]; strconv.Itoa(got) != want {
		ts.Fatalf("exit code %d, want %s", got, want)
	}
}

// scriptReply demands that the last program printed replies as JSON and nothing
// else: reply race|rank|probe|watch.
func scriptReply(ts *testscript.TestScript, _ bool, args []string) {
	reply := map[string]proto.Message{
		"race": new(pb.RaceResponse), "rank": new(pb.ResolveAndRankResponse),
		"probe": new(pb.ProbeResponse), "watch": new(pb.WatchProbeResponse),
	}[args[0]]
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	for n := 0; ; n++ {
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) && n > 0 {
			return
		}
		ts.Check(err)
		ts.Check(protojson.Unmarshal(raw, reply))
	}
}

// scriptHost starts a host of package netlab and puts its endpoint into a
// variable: host accept|refuse|swallow VARIABLE ADDR[:PORT].
func scriptHost(ts *testscript.TestScript, _ bool, args []string) {
	start := map[string]func(netip.AddrPort) (*netlab.Host, error){
		"accept": netlab.Accept, "refuse": netlab.Refuse, "swallow": netlab.Swallow,
	}[args[0]]
	h, err := start(scriptEndpoint(ts, args[2]))
	ts.Check(err)
	ts.Defer(func() { ts.Check(h.Close()) })
	ts.Setenv(args[1], h.Addr().String())
}

// scriptDNS starts a name server that knows one name and puts its endpoint into
// a variable: dns VARIABLE NAME ADDR...
func scriptDNS(ts *testscript.TestScript, _ bool, args []string) {
	d, err := netlab.StartDNS(scriptEndpoint(ts, "127.0.0.1"))
	ts.Check(err)
	ts.Defer(func() { ts.Check(d.Close()) })
	var answers netlab.Answers
	for _, arg := range args[2:] {
		addr, err := netip.ParseAddr(arg)
		ts.Check(err)
		if addr.Is4() {
			answers.A.Addrs = append(answers.A.Addrs, addr)
		} else {
			answers.AAAA.Addrs = append(answers.AAAA.Addrs, addr)
		}
	}
	d.Set(args[1], answers)
	ts.Setenv(args[0], d.Addr().String())
}

// scriptPort puts a port into a variable that is free on all the addresses: port
// VARIABLE ADDR...
func scriptPort(ts *testscript.TestScript, _ bool, args []string) {
	var addrs []netip.Addr
	for _, arg := range args[1:] {
		addrs = append(addrs, scriptEndpoint(ts, arg).Addr())
	}
	port, err := netlab.FreePort(addrs...)
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(int(port)))
}

// scriptEndpoint reads ADDR or ADDR:PORT.
func scriptEndpoint(ts *testscript.TestScript, arg string) netip.AddrPort {
	if !strings.Contains(arg, ":") {
		arg += ":0"
	}
	at, err := netip.ParseAddrPort(arg)
	ts.Check(err)
	return at
}

// scriptListen waits until somebody listens: listen ENDPOINT.
func scriptListen(ts *testscript.TestScript, _ bool, args []string) {
	const patience = 10 * time.Second
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", args[0])
		if err == nil {
			ts.Check(conn.Close())
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nobody listens at %s after %v: %v", args[0], patience, err)
		}
	}
}

// scriptSignal sends a signal to all background programs: signal TERM|INT.
func scriptSignal(ts *testscript.TestScript, _ bool, args []string) {
	signal := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt}[args[0]]
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(signal))
	}
}
