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
	"sync"
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
	"ca":     scriptCA,
	"stale":  scriptStale,
	"signal": scriptSignal,
}

// scriptExits runs the command line inside this process, which takes a hundredth
// of the time of another one, and demands an exit code: exits CODE connrace ARG...
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 || args[1] != "connrace" {
		ts.Fatalf("usage: exits CODE connrace ARG...")
	}
	const patience = 30 * time.Second // for what should end by itself and does not
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got := run(ctx, args[2:], ts.Stdout(), ts.Stderr())
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

// scriptHost starts a host of package netlab and puts its endpoint into a variable:
// host BEHAVIOUR VARIABLE ADDR[:PORT]. Those with TLS have a certificate for
// lab.example by the authority of the command ca.
func scriptHost(ts *testscript.TestScript, _ bool, args []string) {
	at := scriptEndpoint(ts, args[2])
	if args[0] == "banner" {
		ts.Setenv(args[1], scriptBanner(ts, at))
		return
	}
	start, ok := map[string]func(netip.AddrPort) (*netlab.Host, error){
		"accept": netlab.Accept, "refuse": netlab.Refuse, "swallow": netlab.Swallow,
	}[args[0]]
	if !ok {
		behaviour := scriptBehaviour(ts, args[0])
		start = func(at netip.AddrPort) (*netlab.Host, error) { return netlab.Serve(at, behaviour) }
	}
	h, err := start(at)
	ts.Check(err)
	ts.Defer(func() { ts.Check(h.Close()) })
	ts.Setenv(args[1], h.Addr().String())
}

// scriptBehaviour is what a host does with its connections: garbage, http, unavailable
// (a status of 503), serving, not-serving; or one of these in TLS, such as tls-serving;
// tls, stall, expired.
func scriptBehaviour(ts *testscript.TestScript, name string) netlab.Behaviour {
	inside, encrypted := strings.CutPrefix(name, "tls-")
	health := netlab.NewHealthServer()
	ts.Check(health.Set("lab.v1.Sick", netlab.NotServing))
	b, ok := map[string]netlab.Behaviour{
		"garbage": netlab.Garbage(), "stall": netlab.StallTLS(),
		"http": netlab.HTTP(netlab.HTTPServer{}), "unavailable": netlab.HTTP(netlab.HTTPServer{Status: 503}),
		"serving": netlab.Health(health), "tls": netlab.Read(), "expired": netlab.Read(),
	}[inside]
	if !ok {
		ts.Fatalf("no host behaves like %q", name)
	}
	switch {
	case encrypted || inside == "tls":
		return scriptTLS(ts, netlab.Valid, b)
	case inside == "expired":
		return scriptTLS(ts, netlab.Expired, b)
	}
	return b
}

func scriptTLS(ts *testscript.TestScript, v netlab.Validity, then netlab.Behaviour) netlab.Behaviour {
	authority, err := scriptAuthority()
	ts.Check(err)
	cert, err := authority.Certificate(v, "lab.example")
	ts.Check(err)
	return netlab.TLS(netlab.TLSServer{Certificate: cert, ALPN: []string{"h2", "http/1.1"}}, then)
}

// scriptAuthority is that of all scripts.
var scriptAuthority = sync.OnceValues(netlab.NewAuthority)

// scriptCA writes the certificate of the authority into a file: ca FILE.
func scriptCA(ts *testscript.TestScript, _ bool, args []string) {
	authority, err := scriptAuthority()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), authority.PEM(), 0o600))
}

// scriptBanner is a server that speaks first, as one of SSH does.
func scriptBanner(ts *testscript.TestScript, at netip.AddrPort) string {
	l, err := net.Listen("tcp", at.String())
	ts.Check(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "SSH-2.0-lab\r\n")
			_, _ = io.Copy(io.Discard, c) // until the peer closes
			_ = c.Close()
		}
	}()
	ts.Defer(func() { ts.Check(l.Close()); <-done })
	return l.Addr().String()
}

// scriptStale leaves the socket of a daemon behind that is gone: stale FILE.
func scriptStale(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: ts.MkAbs(args[0])})
	ts.Check(err)
	l.SetUnlinkOnClose(false)
	ts.Check(l.Close())
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

// scriptListen waits until somebody listens: listen ENDPOINT|unix:FILE.
func scriptListen(ts *testscript.TestScript, _ bool, args []string) {
	const patience = 10 * time.Second
	network, address := "tcp", args[0]
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		network, address = "unix", ts.MkAbs(path)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial(network, address)
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
