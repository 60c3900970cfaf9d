package server

import (
	"encoding/pem"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/connrace/connrace/internal/netlab"
	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
)

// criteria have every field of the message, each set to something that is not its
// default. What a test asks of is which of what is answered after TLS.
func criteria(t testing.TB) []*connracev1.SuccessCriterion {
	t.Helper()
	authority, err := netlab.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return []*connracev1.SuccessCriterion{
		{
			Tls: &connracev1.TlsCheck{
				ServerName: "lab.example", AlpnProtocols: []string{"h2", "http/1.1"}, RootCertificatesPem: string(authority.PEM()),
			},
			Application: &connracev1.SuccessCriterion_Http{Http: &connracev1.HttpCheck{
				Method: "HEAD", Path: "/healthz?full=1", Host: "lab.example:8443", SuccessStatuses: []int32{204, 404},
			}},
		},
		{Application: &connracev1.SuccessCriterion_GrpcHealth{GrpcHealth: &connracev1.GrpcHealthCheck{
			Service: "lab.v1.Service", Authority: "lab.example:50051",
		}}},
		{Application: &connracev1.SuccessCriterion_FirstByte{FirstByte: &connracev1.FirstByteCheck{}}},
	}
}

// Every field of a criterion arrives, and all but the trusted certificates come back.
func TestCriterionGoesThere(t *testing.T) {
	t.Parallel()
	asked := criteria(t)
	messages, echoes := make([]proto.Message, len(asked)), make([]proto.Message, len(asked))
	var got []racer.Criterion
	for i, m := range asked {
		var d decoder
		c := d.criterion(m)
		if len(d.fields) > 0 {
			t.Errorf("%v is wrong: %v", m, d.fields)
		}
		want := proto.CloneOf(m)
		if want.GetTls() != nil {
			want.Tls.RootCertificatesPem = ""
		}
		echo := successCriterion(&c)
		if !proto.Equal(echo, want) {
			t.Errorf("the criterion comes back as %v, want %v", echo, want)
		}
		messages[i], echoes[i] = m, echo
		got = append(got, c)
	}
	complete(t, messages)
	complete(t, echoes, "root_certificates_pem")
	filled(t, got...)

	roots, err := racer.RootsFromPEM([]byte(asked[0].GetTls().GetRootCertificatesPem()))
	if err != nil {
		t.Fatal(err)
	}
	if !got[0].TLS.Roots.Equal(roots) {
		t.Error("other certificates are trusted than the request says")
	}
	got[0].TLS.Roots = nil
	for i, want := range []racer.Criterion{
		{
			TLS:  &racer.TLSCheck{ServerName: "lab.example", ALPN: []string{"h2", "http/1.1"}},
			HTTP: &racer.HTTPCheck{Method: "HEAD", Path: "/healthz?full=1", Host: "lab.example:8443", Statuses: []int{204, 404}},
		},
		{Health: &racer.HealthCheck{Service: "lab.v1.Service", Authority: "lab.example:50051"}},
		{FirstByte: true},
	} {
		if !reflect.DeepEqual(got[i], want) {
			t.Errorf("%v becomes %+v, want %+v", asked[i], got[i], want)
		}
	}
}

// Nothing, and a criterion with nothing in it, are TCP alone; TLS and HTTP without a
// word are not.
func TestEmptyCriterion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		m      *connracev1.SuccessCriterion
		is     racer.Criterion
		echoed *connracev1.SuccessCriterion
	}{
		{nil, racer.Criterion{}, nil},
		{&connracev1.SuccessCriterion{}, racer.Criterion{}, nil},
		{
			&connracev1.SuccessCriterion{Tls: &connracev1.TlsCheck{}},
			racer.Criterion{TLS: &racer.TLSCheck{}},
			&connracev1.SuccessCriterion{Tls: &connracev1.TlsCheck{}},
		},
		{
			&connracev1.SuccessCriterion{Application: &connracev1.SuccessCriterion_Http{}},
			racer.Criterion{HTTP: &racer.HTTPCheck{}},
			&connracev1.SuccessCriterion{Application: &connracev1.SuccessCriterion_Http{Http: &connracev1.HttpCheck{}}},
		},
		{
			&connracev1.SuccessCriterion{Application: &connracev1.SuccessCriterion_GrpcHealth{}},
			racer.Criterion{Health: &racer.HealthCheck{}},
			&connracev1.SuccessCriterion{Application: &connracev1.SuccessCriterion_GrpcHealth{GrpcHealth: &connracev1.GrpcHealthCheck{}}},
		},
	} {
		var d decoder
		got := d.criterion(c.m)
		if !reflect.DeepEqual(got, c.is) || len(d.fields) > 0 {
			t.Errorf("%v becomes %+v with %v, want %+v", c.m, got, d.fields, c.is)
		}
		if echo := successCriterion(&got); !proto.Equal(echo, c.echoed) || (echo == nil) != (c.echoed == nil) {
			t.Errorf("%v comes back as %v, want %v", c.m, echo, c.echoed)
		}
	}
}

// Every field of a source arrives and comes back, an address in its plain form.
func TestSourceGoesThere(t *testing.T) {
	t.Parallel()
	asked := &connracev1.SourceOptions{
		BindAddresses: []string{"2001:db8::1", "::ffff:192.0.2.1"}, Interface: "eth1", Mark: 1<<32 - 1, Dscp: 63,
	}
	var d decoder
	got := d.source(asked)
	want := racer.Source{
		IPv4: netip.MustParseAddr("192.0.2.1"), IPv6: netip.MustParseAddr("2001:db8::1"), Interface: "eth1", Mark: 1<<32 - 1, DSCP: 63,
	}
	if got != want || len(d.fields) > 0 {
		t.Errorf("the source is %+v with %v, want %+v", got, d.fields, want)
	}
	filled(t, got)
	complete(t, []proto.Message{asked})
	back := proto.CloneOf(asked)
	back.BindAddresses = []string{"192.0.2.1", "2001:db8::1"}
	if echo := sourceOptions(got); !proto.Equal(echo, back) {
		t.Errorf("the source comes back as %v, want %v", echo, back)
	}
	if echo := sourceOptions(d.source(nil)); echo != nil {
		t.Errorf("nothing comes back as %v", echo)
	}
	for _, only := range []*connracev1.SourceOptions{
		{BindAddresses: []string{"192.0.2.1"}}, {BindAddresses: []string{"fe80::1%eth1"}}, {Interface: "eth1"}, {Mark: 1}, {Dscp: 1},
	} {
		if echo := sourceOptions(d.source(only)); !proto.Equal(echo, only) {
			t.Errorf("%v comes back as %v", only, echo)
		}
	}
}

// Options of a race and of a probe have all of it.
func TestOptionsHaveTheManner(t *testing.T) {
	t.Parallel()
	for _, criterion := range criteria(t) {
		source := &connracev1.SourceOptions{BindAddresses: []string{"192.0.2.1"}, Interface: "eth1", Mark: 7, Dscp: 46}
		race := &connracev1.RaceOptions{MaxBackupAttempts: proto.Int32(0), Criterion: criterion, Source: source, CloseWithFin: true}
		probe := &connracev1.ProbeOptions{Criterion: criterion, Source: source, CloseWithFin: true}
		var d decoder
		gotRace, gotProbe := raceOptions(d.raceOptions(race)), probeOptions(d.probeOptions(probe))
		want := proto.CloneOf(criterion)
		if want.GetTls() != nil {
			want.Tls.RootCertificatesPem = ""
		}
		for _, got := range []interface {
			GetCriterion() *connracev1.SuccessCriterion
			GetSource() *connracev1.SourceOptions
			GetCloseWithFin() bool
		}{gotRace, gotProbe} {
			if !proto.Equal(got.GetCriterion(), want) || !proto.Equal(got.GetSource(), source) || !got.GetCloseWithFin() {
				t.Errorf("%T comes back as %v", got, got)
			}
		}
	}
	if none := raceOptions(racer.Options{MaxBackups: new(int)}); none.GetCriterion() != nil || none.GetSource() != nil || none.GetCloseWithFin() {
		t.Errorf("nothing comes back as %v", none)
	}
}

// An error repeats little of what a caller wrote, and nothing of its certificates.
func TestErrorsAreShort(t *testing.T) {
	t.Parallel()
	secret := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte(strings.Repeat("secret", 100))}))
	var d decoder
	d.criterion(&connracev1.SuccessCriterion{Tls: &connracev1.TlsCheck{RootCertificatesPem: secret}})
	d.source(&connracev1.SourceOptions{BindAddresses: []string{strings.Repeat("x", 100_000)}})
	if len(d.fields) != 2 {
		t.Fatalf("wrong are %v, want two fields", d.fields)
	}
	for _, f := range d.fields {
		if len(f.Message) > 250 || strings.Contains(f.Message, secret[40:50]) {
			t.Errorf("%s says %q", f.Field, f.Message)
		}
	}
}
