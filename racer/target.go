package racer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/connrace/connrace/internal/hostname"
)

// Target is what to connect to: either Name or Candidates.
type Target struct {
	// Name is a name or an address with a port: "example.com:443",
	// "192.0.2.1:443", "[2001:db8::1]:443".
	Name string
	// Candidates are the caller's own, at most MaxCandidates of which at most
	// MaxNames are names.
	Candidates []CandidateSpec
}

// CandidateSpec is one of the caller's own candidates.
type CandidateSpec struct {
	// Endpoint is an address or a name, and the port. Every address of a name
	// becomes a candidate.
	Endpoint string
	// Label is the caller's word for it, repeated in the result; at most
	// MaxLabelLength characters.
	Label string
	// ExpectedRTT is the round-trip time to it, where the caller knows one:
	// MinKnown to MaxExpectedRTT. 0: not known, or to be had from PastConnects.
	ExpectedRTT time.Duration
	// PastConnects is how long past connects to it took, the oldest first: at most
	// MaxPastConnects, each MinKnown to MaxAttemptTimeout.
	PastConnects []time.Duration
}

// Limits of a target.
const (
	MaxCandidates     = 1000 // elements of Target.Candidates
	MaxNames          = 64   // of those: names
	MaxLabelLength    = 100  // characters
	MaxEndpointLength = 262  // a name, its final dot, a bracketed zone or a port: all fit
	MaxPastConnects   = 100  // elements of CandidateSpec.PastConnects

	MinKnown       = time.Microsecond // the least that can be known of a connect
	MaxExpectedRTT = time.Minute      // CandidateSpec.ExpectedRTT
)

// endpoint is a parsed CandidateSpec: addr or name, and port.
type endpoint struct {
	addr netip.Addr
	name string
	port uint16
}

// parseEndpoint takes apart "host:port". Its error is a sentence that says what
// to write instead.
func parseEndpoint(s string) (endpoint, error) {
	if len(s) > MaxEndpointLength {
		return endpoint{}, fmt.Errorf("is %d characters long; %d are allowed", len(s), MaxEndpointLength)
	}
	if strings.Contains(s, "://") {
		return endpoint{}, fmt.Errorf(`is %s, a URL; write it as in "example.com:443", and what counts as a success into options.criterion`, hostname.Quote(s))
	}
	host, portText, err := net.SplitHostPort(s)
	if err != nil {
		return endpoint{}, hostPortError(s)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 || portText[0] == '+' {
		return endpoint{}, fmt.Errorf("has the port %s; write a number from 1 to 65535", hostname.Quote(portText))
	}
	e := endpoint{port: uint16(port)}
	bracketed := strings.HasPrefix(s, "[")
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() == bracketed {
		e.addr = addr
		return e, checkZone(addr)
	}
	if bracketed {
		return endpoint{}, fmt.Errorf("has %s in brackets; they are for IPv6 addresses such as [2001:db8::1]", hostname.Quote(host))
	}
	e.name = host
	return e, checkName(host)
}

// checkZone refuses a zone of an IPv4 address: as IPv4, which it is dialed as, it would
// lose it, and others are denied for theirs.
func checkZone(addr netip.Addr) error {
	if addr.Is4In6() && addr.Zone() != "" {
		return fmt.Errorf("has %s, an IPv4 address with a zone; leave the zone out", hostname.Quote(addr.String()))
	}
	return nil
}

func hostPortError(s string) error {
	switch {
	case s == "":
		return errors.New(`is empty; write a name or an address and a port, such as "example.com:443"`)
	case strings.Count(s, ":") > 1 && !strings.Contains(s, "["):
		return fmt.Errorf(`is %s; write an IPv6 address in brackets and add a port: "[2001:db8::1]:443"`, hostname.Quote(s))
	default:
		return fmt.Errorf(`is %s, which has no port; write it as in "example.com:443" or "[2001:db8::1]:443"`, hostname.Quote(s))
	}
}

// checkName accepts what can stand in DNS. A name that ends in a number is an
// IPv4 address in an old spelling (127.1, 0x7f.1, 2130706433): some resolvers
// understand these, so they must not get there.
func checkName(name string) error {
	bare := strings.TrimSuffix(name, ".")
	if bare == "" {
		return errors.New(`has no name or address before the port; write it as in "example.com:443"`)
	}
	if len(bare) > 253 {
		return fmt.Errorf("has a name of %d characters; DNS allows 253", len(bare))
	}
	labels := strings.Split(bare, ".")
	for _, label := range labels {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	if hostname.IsNumber(labels[len(labels)-1]) {
		return fmt.Errorf("has %s, which is neither a name nor an address; write an IPv4 address as four decimal numbers", hostname.Quote(name))
	}
	return nil
}

func checkLabel(label string) error {
	if label == "" || len(label) > 63 {
		return errors.New("has a name with a part that is empty or longer than 63 characters")
	}
	for _, c := range []byte(label) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		case c >= 0x80:
			return errors.New("has a name that is not ASCII; write it in its ASCII form (xn--...)")
		default:
			return fmt.Errorf("has a name with the character %q; letters, digits, '-' and '_' are allowed", c)
		}
	}
	return nil
}
