package server_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
)

// Short names for criteria.
func overTLS(check *connracev1.TlsCheck) *connracev1.SuccessCriterion {
	return &connracev1.SuccessCriterion{Tls: check}
}

func byHTTP(check *connracev1.HttpCheck) *connracev1.SuccessCriterion {
	return &connracev1.SuccessCriterion{Application: &connracev1.SuccessCriterion_Http{Http: check}}
}

func byHealth(check *connracev1.GrpcHealthCheck) *connracev1.SuccessCriterion {
	return &connracev1.SuccessCriterion{Application: &connracev1.SuccessCriterion_GrpcHealth{GrpcHealth: check}}
}

func byFirstByte() *connracev1.SuccessCriterion {
	return &connracev1.SuccessCriterion{Application: &connracev1.SuccessCriterion_FirstByte{FirstByte: &connracev1.FirstByteCheck{}}}
}

// refusesOptions asks all RPCs for what is wrong with a criterion or a source: these
// are the same in all.
func refusesOptions(t *testing.T, d *daemon, c *connracev1.SuccessCriterion, s *connracev1.SourceOptions, want ...violation) {
	t.Helper()
	const target = "127.0.0.1:80"
	ctx, race, probe := patient(t), &connracev1.RaceOptions{Criterion: c, Source: s}, &connracev1.ProbeOptions{Criterion: c, Source: s}
	_, err := d.rpc.Race(ctx, &connracev1.RaceRequest{Target: target, Options: race})
	violates(t, err, want...)
	_, err = d.rpc.ResolveAndRank(ctx, &connracev1.ResolveAndRankRequest{Target: target, Options: race})
	violates(t, err, want...)
	_, err = d.rpc.Probe(ctx, &connracev1.ProbeRequest{Target: target, Options: probe})
	violates(t, err, want...)
	_, err = watch(t, d, &connracev1.WatchProbeRequest{Target: target, Options: probe}).Recv()
	violates(t, err, want...)
}

func TestBadCriteria(t *testing.T) {
	t.Parallel()
	authority, err := netlab.NewAuthority()
	must(t, err)
	good := string(authority.PEM())
	d := serve(t, plain())
	name := func(name string) *connracev1.SuccessCriterion { return overTLS(&connracev1.TlsCheck{ServerName: name}) }
	alpn := func(protocols ...string) *connracev1.SuccessCriterion {
		return overTLS(&connracev1.TlsCheck{AlpnProtocols: protocols})
	}
	roots := func(pem string) *connracev1.SuccessCriterion {
		return overTLS(&connracev1.TlsCheck{RootCertificatesPem: pem})
	}
	path := func(path string) *connracev1.SuccessCriterion { return byHTTP(&connracev1.HttpCheck{Path: path}) }
	host := func(host string) *connracev1.SuccessCriterion { return byHTTP(&connracev1.HttpCheck{Host: host}) }
	status := func(statuses ...int32) *connracev1.SuccessCriterion {
		return byHTTP(&connracev1.HttpCheck{SuccessStatuses: statuses})
	}
	const tls, http, health = "options.criterion.tls.", "options.criterion.http.", "options.criterion.grpc_health."
	for _, c := range []struct {
		criterion *connracev1.SuccessCriterion
		want      violation
	}{
		{name("lab example"), wrong(tls+"server_name", `"lab example"`, "letters, digits")},
		{name("exämple.com"), wrong(tls+"server_name", "xn--")},
		{name("lab.example\r\n"), wrong(tls+"server_name", `\r\n`, "letters, digits")},
		{name("127.1"), wrong(tls+"server_name", "127.1", "an address")},
		{name("fe80::1%eth0"), wrong(tls+"server_name", "without a zone")},
		{name("lab.example:443"), wrong(tls+"server_name", "lab.example:443")},
		{name("*.example"), wrong(tls+"server_name", "*.example")},
		{name(strings.Repeat("a.", 127) + "a"), wrong(tls+"server_name", "255", "253")},

		{alpn("1", "2", "3", "4", "5", "6", "7", "8", "9"), wrong(tls+"alpn_protocols", "9", "8")},
		{alpn("h2", ""), wrong(tls+"alpn_protocols[1]", "0", "1 to 255")},
		{alpn(strings.Repeat("h", 256)), wrong(tls+"alpn_protocols[0]", "256", "1 to 255")},

		{roots("garbage"), wrong(tls+"root_certificates_pem", "no certificate", "-----BEGIN CERTIFICATE-----")},
		{roots("\x00\xf0\x9f\x99\x88"), wrong(tls+"root_certificates_pem", "no certificate")},
		{roots(good + "and more"), wrong(tls+"root_certificates_pem", "after certificate 1", "nothing more")},
		{roots(good + good[:200]), wrong(tls + "root_certificates_pem")},
		{roots(good[:200] + "\n" + good), wrong(tls+"root_certificates_pem", "block 1", "whole PEM blocks")},
		{roots(strings.Replace(good, good[40:80], strings.Repeat("A", 40), 1)), wrong(tls+"root_certificates_pem", "block 1", "certificates")},
		{roots(strings.ReplaceAll(good, "CERTIFICATE", "PRIVATE KEY")), wrong(tls+"root_certificates_pem", "block 1", "certificates")},
		{roots(strings.Repeat(" ", 256<<10+1)), wrong(tls+"root_certificates_pem", "262145", "262144")},

		{byHTTP(&connracev1.HttpCheck{Method: "POST"}), wrong(http+"method", `"POST"`, "GET or HEAD")},
		{byHTTP(&connracev1.HttpCheck{Method: "get"}), wrong(http+"method", `"get"`, "GET or HEAD")},
		{byHTTP(&connracev1.HttpCheck{Method: "GET / HTTP/1.1\r\n"}), wrong(http+"method", "GET or HEAD")},
		{path("healthz"), wrong(http+"path", `"healthz"`, `"/"`)},
		{path("http://lab.example/"), wrong(http+"path", `begins with "/"`)},
		{path("/ HTTP/1.1\r\nHost: elsewhere"), wrong(http+"path", `' '`, "%20")},
		{path("/\r\nX: y"), wrong(http+"path", `'\r'`, "printable ASCII")},
		{path("/a\nb"), wrong(http+"path", `'\n'`, "printable ASCII")},
		{path("/#top"), wrong(http+"path", `'#'`)},
		{path("/ä"), wrong(http+"path", "printable ASCII")},
		{path("/" + strings.Repeat("a", 2048)), wrong(http+"path", "2049", "2048")},
		{host("lab.example:0"), wrong(http+"host", "1 to 65535")},
		{host("lab.example:https"), wrong(http+"host", "1 to 65535")},
		{host("lab.example\r\nX: y"), wrong(http+"host", `\r\n`, "a name, an IPv4 address")},
		{host("[fe80::1%25eth0]:80"), wrong(http+"host", "without a zone")},
		{host("2001:db8::1"), wrong(http + "host")},
		{host(strings.Repeat("a", 263)), wrong(http+"host", "263", "262")},
		{status(99), wrong(http+"success_statuses[0]", "99", "101 and 200 to 599")},
		{status(200, 600), wrong(http+"success_statuses[1]", "600", "101 and 200 to 599")},
		{status(-1), wrong(http+"success_statuses[0]", "-1", "101 and 200 to 599")},
		{status(103), wrong(http+"success_statuses[0]", "103", "101 and 200 to 599")},
		{status(make([]int32, 21)...), wrong(http+"success_statuses", "21", "20")},

		{byHealth(&connracev1.GrpcHealthCheck{Service: strings.Repeat("s", 257)}), wrong(health+"service", "257", "256")},
		{byHealth(&connracev1.GrpcHealthCheck{Service: "a\x1b[31m"}), wrong(health+"service", `\x1b`, "printable")},
		{byHealth(&connracev1.GrpcHealthCheck{Authority: "a b"}), wrong(health+"authority", `"a b"`)},
	} {
		t.Run(fmt.Sprintf("%.100s", c.criterion), func(t *testing.T) {
			t.Parallel()
			refusesOptions(t, d, c.criterion, nil, c.want)
		})
	}
}

func TestBadSources(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	bind := func(addrs ...string) *connracev1.SourceOptions {
		return &connracev1.SourceOptions{BindAddresses: addrs}
	}
	for _, c := range []struct {
		source *connracev1.SourceOptions
		want   []violation
	}{
		{bind(""), []violation{wrong("options.source.bind_addresses[0]", `""`, "192.0.2.1")}},
		{bind("localhost"), []violation{wrong("options.source.bind_addresses[0]", `"localhost"`, "2001:db8::1")}},
		{bind("127.0.0.1:80"), []violation{wrong("options.source.bind_addresses[0]", "no address")}},
		{bind("[::1]"), []violation{wrong("options.source.bind_addresses[0]", "no address")}},
		{bind("127.0.0.0/8"), []violation{wrong("options.source.bind_addresses[0]", "no address")}},
		{bind("127.1"), []violation{wrong("options.source.bind_addresses[0]", "no address")}},
		{bind("127.0.0.1", "127.0.0.2"), []violation{wrong("options.source.bind_addresses[1]", "second", "one of each")}},
		{bind("127.0.0.1", "::ffff:127.0.0.2"), []violation{wrong("options.source.bind_addresses[1]", "second")}},
		{bind("127.0.0.1", "::1", "::1"), []violation{wrong("options.source.bind_addresses[2]", "second")}},
		{bind("fe80::1%lo"), []violation{wrong("options.source.bind_addresses", "fe80::1%lo", "with a zone", "interface")}},
		{bind("::1", "::ffff:127.0.0.1%lo"), []violation{wrong("options.source.bind_addresses[1]", "::ffff:127.0.0.1%lo", "with a zone", "interface")}},
		{bind("nowhere", "127.0.0.1", "127.0.0.1"), []violation{
			wrong("options.source.bind_addresses[0]"), wrong("options.source.bind_addresses[2]"),
		}},
		{bind("0.0.0.0"), []violation{wrong("options.source.bind_addresses", "0.0.0.0", "the unspecified")}},
		{bind("127.0.0.1", "::"), []violation{wrong("options.source.bind_addresses", "::", "the unspecified")}},
		{bind("::ffff:0.0.0.0"), []violation{wrong("options.source.bind_addresses", "0.0.0.0", "the unspecified")}},
		{bind("224.0.0.1"), []violation{wrong("options.source.bind_addresses", "224.0.0.1", "a multicast")}},
		{bind("ff02::1"), []violation{wrong("options.source.bind_addresses", "ff02::1", "a multicast")}},
		{bind("255.255.255.255"), []violation{wrong("options.source.bind_addresses", "255.255.255.255", "the broadcast")}},
		{&connracev1.SourceOptions{Interface: "lo\x00zzz"}, []violation{wrong("options.source.interface", `"lo\x00zzz"`, "control characters")}},
		{&connracev1.SourceOptions{Interface: "sixteen-bytes-eth"}, []violation{wrong("options.source.interface", "17", "15")}},
		{&connracev1.SourceOptions{Interface: "sixteen-bytes-et"}, []violation{wrong("options.source.interface", "16", "15")}},
		{&connracev1.SourceOptions{Dscp: 64}, []violation{wrong("options.source.dscp", "64", "0 to 63")}},
		{&connracev1.SourceOptions{Dscp: -1}, []violation{wrong("options.source.dscp", "-1", "0 to 63")}},
		{&connracev1.SourceOptions{Dscp: 256 + 46}, []violation{wrong("options.source.dscp", "302", "0 to 63")}},
		{&connracev1.SourceOptions{Dscp: 64, Interface: "sixteen-bytes-et", BindAddresses: []string{"x"}}, []violation{
			wrong("options.source.dscp"), wrong("options.source.interface"), wrong("options.source.bind_addresses[0]"),
		}},
	} {
		t.Run(fmt.Sprint(c.source), func(t *testing.T) {
			t.Parallel()
			refusesOptions(t, d, nil, c.source, c.want...)
		})
	}
}

// A key is counted in characters, and where it may be as long as it is, it is.
func TestCallerKeys(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for key, want := range map[string][]violation{
		strings.Repeat("k", 101): {wrong("caller_key", "101", "100")},
		strings.Repeat("ä", 101): {wrong("caller_key", "101", "100")},
		strings.Repeat("ä", 100): nil,
		"":                       nil,
	} {
		errs := map[string]error{}
		_, errs["race"] = d.rpc.Race(patient(t), &connracev1.RaceRequest{Target: denied, CallerKey: key})
		_, errs["probe"] = d.rpc.Probe(patient(t), &connracev1.ProbeRequest{Target: denied, CallerKey: key})
		_, errs["watch"] = watch(t, d, &connracev1.WatchProbeRequest{Target: denied, CallerKey: key}).Recv()
		for rpc, err := range errs {
			if want == nil && err != nil {
				t.Errorf("%s: a key of %d bytes: %v", rpc, len(key), err)
			} else if want != nil {
				violates(t, err, want...)
			}
		}
	}
}

// The bounds themselves are allowed, and come back in all RPCs, without the trusted
// certificates: these stand nowhere, not even in the log.
func TestCriteriaAreEchoed(t *testing.T) {
	t.Parallel()
	authority, err := netlab.NewAuthority()
	must(t, err)
	pem := string(authority.PEM())
	d := serve(t, plain())
	eight, twenty := make([]string, 8), make([]int32, 20)
	for i := range eight {
		eight[i] = strings.Repeat("p", 255)
	}
	for i := range twenty {
		twenty[i] = 101 + 498*int32(i%2)
	}
	label := strings.Repeat("a", 62) + "."
	longest := strings.Repeat(label, 4) + "a" // 253 characters
	longest = longest[len(longest)-253:]
	source := &connracev1.SourceOptions{
		BindAddresses: []string{"127.0.0.1", "::1"}, Interface: "fifteen-letters", Mark: 1<<32 - 1, Dscp: 63,
	}
	withTLS := byHTTP(&connracev1.HttpCheck{
		Method: "HEAD", Path: "/" + strings.Repeat("a", 2047), Host: longest + ":65535", SuccessStatuses: twenty,
	})
	withTLS.Tls = &connracev1.TlsCheck{ServerName: longest, AlpnProtocols: eight, RootCertificatesPem: pem}
	for _, criterion := range []*connracev1.SuccessCriterion{
		withTLS,
		overTLS(&connracev1.TlsCheck{ServerName: "2001:db8::1"}),
		byHTTP(&connracev1.HttpCheck{Method: "GET", Path: "/?q=%20;x", Host: "[2001:db8::1]:80"}),
		byHealth(&connracev1.GrpcHealthCheck{Service: strings.Repeat("ä", 128), Authority: "lab.example"}),
		byFirstByte(),
	} {
		race, run := inEffect(t, d, &connracev1.RaceOptions{Criterion: criterion, Source: source, CloseWithFin: true})
		asked := &connracev1.ProbeOptions{Criterion: criterion, Source: source, CloseWithFin: true}
		probe, err := d.rpc.Probe(patient(t), &connracev1.ProbeRequest{Target: denied, Options: asked})
		must(t, err)
		round := receive(t, watch(t, d, &connracev1.WatchProbeRequest{Target: denied, Options: asked}))
		want := proto.CloneOf(criterion)
		if want.GetTls() != nil {
			want.Tls.RootCertificatesPem = ""
		}
		for _, got := range []interface {
			GetCriterion() *connracev1.SuccessCriterion
			GetSource() *connracev1.SourceOptions
			GetCloseWithFin() bool
		}{race, probe.GetOptions(), round.GetOptions()} {
			if !proto.Equal(got.GetCriterion(), want) || !proto.Equal(got.GetSource(), source) || !got.GetCloseWithFin() {
				t.Errorf("%T comes back as %v", got, got)
			}
		}
		if len(run.GetWarnings()) > 0 {
			t.Errorf("%v: warnings are %v", criterion, run.GetWarnings())
		}
		for _, m := range []proto.Message{race, probe, round} {
			text, err := protojson.Marshal(m)
			must(t, err)
			if strings.Contains(string(text), "CERTIFICATE") {
				t.Errorf("a reply has the trusted certificates: %s", text)
			}
		}
	}
	if strings.Contains(d.log.String(), "CERTIFICATE") {
		t.Errorf("the log has the trusted certificates: %s", d.log)
	}
}

// A path as long as allowed and text for certificates may come together.
func TestLongestCriterionFits(t *testing.T) {
	t.Parallel()
	authority, err := netlab.NewAuthority()
	must(t, err)
	pem := string(authority.PEM())
	pem = strings.Repeat(pem, min((256<<10)/len(pem), 500))
	if _, err := racer.RootsFromPEM([]byte(pem)); err != nil {
		t.Fatal(err)
	}
	_, err = serve(t, plain()).rpc.Race(patient(t), &connracev1.RaceRequest{
		Target: denied, Options: &connracev1.RaceOptions{Criterion: overTLS(&connracev1.TlsCheck{RootCertificatesPem: pem})},
	})
	must(t, err)
}
