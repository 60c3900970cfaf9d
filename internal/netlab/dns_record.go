package netlab

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// records is how many records the answer has.
func (a *Answer) records() int {
	return len(a.Addrs) + len(a.Services) + len(a.Hosts) + len(a.Raw)
}

// bodies are the records in their order, in memory of their own. The answer must
// have passed its check.
func (a *Answer) bodies(kind dnsmessage.Type) []dnsmessage.ResourceBody {
	bodies := make([]dnsmessage.ResourceBody, 0, a.records())
	for _, addr := range a.Addrs {
		bodies = append(bodies, addressBody(addr))
	}
	for _, s := range a.Services {
		bodies = append(bodies, s.body(kind))
	}
	for _, h := range a.Hosts {
		bodies = append(bodies, &dnsmessage.SRVResource{
			Priority: h.Priority, Weight: h.Weight, Port: h.Port, Target: fullName(h.Target),
		})
	}
	for _, data := range a.Raw {
		bodies = append(bodies, &dnsmessage.UnknownResource{Type: kind, Data: bytes.Clone(data)})
	}
	return bodies
}

func addressBody(addr netip.Addr) dnsmessage.ResourceBody {
	if addr.Is4() {
		return &dnsmessage.AResource{A: addr.As4()}
	}
	return &dnsmessage.AAAAResource{AAAA: addr.As16()}
}

// record is one resource record. Pack takes the type from the body.
func record(owner dnsmessage.Name, ttl uint32, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: owner, Class: dnsmessage.ClassINET, TTL: ttl},
		Body:   body,
	}
}

// packable returns why a record has no wire form: its RDATA is too long.
func packable(body dnsmessage.ResourceBody) error {
	m := dnsmessage.Message{Answers: []dnsmessage.Resource{record(fullName("."), 0, body)}}
	_, err := m.Pack()
	return err
}

// Lengths in bytes of a domain name (RFC 1035 section 2.3.4): 255 on the wire
// are 253 as text without the final dot.
const (
	maxNameLength  = 253
	maxLabelLength = 63
)

// checkName returns why name is no domain name. "" and "." are the root.
func checkName(field, name string) error {
	text := strings.TrimSuffix(name, ".")
	if text == "" {
		return nil
	}
	if len(text) > maxNameLength {
		return fmt.Errorf("%s has %d bytes: use %d at most", field, len(text), maxNameLength)
	}
	for label := range strings.SplitSeq(text, ".") {
		if n := len(label); n == 0 || n > maxLabelLength {
			return fmt.Errorf("%s is %q, with a label of %d bytes: use 1 to %d", field, name, n, maxLabelLength)
		}
	}
	return nil
}

// fullName is the wire form of a name that has passed checkName.
func fullName(name string) dnsmessage.Name {
	return dnsmessage.MustNewName(strings.TrimSuffix(name, ".") + ".")
}
