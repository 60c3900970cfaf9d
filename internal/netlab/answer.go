package netlab

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Answers is what a name is scripted to answer, by the type of the query. The
// zero value has no addresses: NODATA for every type.
type Answers struct {
	A, AAAA Answer
}

// Answer is the answer to queries of one type. The zero value is NODATA at once.
type Answer struct {
	// Addrs are sent in this order. With none and RCode zero the answer is
	// NODATA: the name exists and has no such record. Those of an A answer must
	// be IPv4, those of an AAAA answer IPv6 without a zone; an IPv4-mapped one
	// is IPv6. Set copies the slice.
	//
	// Over UDP Go's resolver takes 1232 bytes: about 70 IPv4 or 40 IPv6
	// addresses. To a client that asks for less than the answer has, the answer
	// goes out truncated and without addresses.
	Addrs []netip.Addr

	// RCode goes into the header, whatever Addrs holds; 0 (success) to 15.
	RCode dnsmessage.RCode

	// Delay is the time from reading the query to sending the answer. Zero and
	// less answer at once. A delayed answer holds up no other.
	Delay time.Duration

	// Drop leaves the query without an answer, like a lost packet.
	Drop bool

	// TTL is that of every record, in seconds. Zero is sent as 0: not to be
	// cached.
	TTL uint32
}

// of picks the answer for one type.
func (a Answers) of(t dnsmessage.Type) Answer {
	switch t {
	case dnsmessage.TypeA:
		return a.A
	case dnsmessage.TypeAAAA:
		return a.AAAA
	}
	return Answer{}
}

// check panics on an answer that can't be sent: the script is wrong, and a test
// that went on would blame what it tests.
func (a Answers) check(name string) {
	for _, addr := range a.A.Addrs {
		if !addr.Is4() {
			panic(fmt.Sprintf("netlab: Set(%q): A can't hold %v: put IPv6 addresses into AAAA", name, addr))
		}
	}
	for _, addr := range a.AAAA.Addrs {
		if !addr.Is6() || addr.Zone() != "" {
			panic(fmt.Sprintf("netlab: Set(%q): AAAA can't hold %v: put IPv4 addresses into A, and drop zones", name, addr))
		}
	}
	if rcode := max(a.A.RCode, a.AAAA.RCode); rcode > maxRCode {
		panic(fmt.Sprintf("netlab: Set(%q): RCode %d does not fit the header: use 0 to %d", name, rcode, maxRCode))
	}
}

// maxRCode is the largest in the header's four bits (RFC 1035 section 4.1.1).
const maxRCode = 15

// records are the resource records of the answer, all of one name.
func (a Answer) records(name dnsmessage.Name) []dnsmessage.Resource {
	records := make([]dnsmessage.Resource, 0, len(a.Addrs))
	for _, addr := range a.Addrs {
		records = append(records, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: a.TTL},
			Body:   body(addr), // Pack takes the type from it
		})
	}
	return records
}

func body(addr netip.Addr) dnsmessage.ResourceBody {
	if addr.Is4() {
		return &dnsmessage.AResource{A: addr.As4()}
	}
	return &dnsmessage.AAAAResource{AAAA: addr.As16()}
}
