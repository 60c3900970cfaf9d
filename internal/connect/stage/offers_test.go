package stage

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/connrace/connrace/racer/sched"
)

// What ALPN offers follows from what comes after TLS, unless it was asked for.
func TestOffers(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		ask  Criterion
		want []string
	}{
		{Criterion{TLS: w.tls()}, nil},
		{Criterion{TLS: w.tls(), FirstByte: true}, nil},
		{Criterion{TLS: w.tls(), HTTP: &HTTP{}}, []string{"http/1.1"}},
		{Criterion{TLS: w.tls(), Health: &Health{}}, []string{"h2"}},
		{Criterion{TLS: w.tls("foo")}, []string{"foo"}},
		{Criterion{TLS: w.tls("h2", "http/1.1"), HTTP: &HTTP{}}, []string{"h2", "http/1.1"}},
		{Criterion{TLS: w.tls("foo", "h2"), Health: &Health{}}, []string{"foo", "h2"}},
	} {
		offers := make(chan []string, 1)
		at := script(t, func(conn net.Conn) {
			inside := tls.Server(conn, &tls.Config{
				Certificates:       []tls.Certificate{w.cert},
				GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) { offers <- h.SupportedProtos; return nil, nil }, //nolint:nilnil // nil: this one
			})
			inside.Handshake()
			inside.CloseWrite()
			hangUp(conn)
		})
		attempt(t, &c.ask, at, "lab.example")
		if got := <-offers; !slices.Equal(got, c.want) {
			t.Errorf("with HTTP %v, health %v, first byte %v: offered are %q, want %q", c.ask.HTTP, c.ask.Health, c.ask.FirstByte, got, c.want)
		}
	}
}

// TCP alone is what wants nothing beyond it, TLS included.
func TestIsTCP(t *testing.T) {
	for _, c := range []Criterion{{TLS: &TLS{}}, {HTTP: &HTTP{}}, {Health: &Health{}}, {FirstByte: true}, {TLS: &TLS{}, FirstByte: true}} {
		if c.IsTCP() {
			t.Errorf("%+v is TCP alone", c)
		}
	}
	if c := (Criterion{}); !c.IsTCP() {
		t.Error("nothing is not TCP alone")
	}
}

// A connection that ends is closed by the peer, also in the middle of something.
func TestEndsAreTheSame(t *testing.T) {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF} {
		for _, err := range []error{end, fmt.Errorf("reading: %w", end)} {
			want := sched.Failure{Type: "connection_closed", Fault: sched.FaultTarget, Text: "the peer closed the connection when; next"}
			if got := broken(err, "when", "next"); *got != want {
				t.Errorf("%v is %+v", err, got)
			}
		}
	}
	if got := broken(errors.New("EOF"), "when", "next"); got.Type != other {
		t.Errorf("what only reads like the end is %+v", got)
	}
}
