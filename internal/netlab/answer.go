package netlab

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Answers is what a name is scripted to answer, by the type of the query. The
// zero value has no records: NODATA for every type.
type Answers struct {
	A, AAAA, HTTPS, SVCB, SRV Answer // to queries of that type

	// Other has the answers of types without a field here: their records are in
	// Raw.
	Other map[dnsmessage.Type]Answer

	// CNAME makes the name an alias of this one, for queries of every type; all
	// other answers must be zero then. "" is no alias, "." the root.
	//
	// The reply has the CNAME record and behind it what the script answers for
	// the target, which may be an alias again. What that answer says (RCode,
	// Delay, Drop, Truncate, Malformed, Then) holds for the reply: the query
	// counts as one for the last name. Without a target in the script the reply
	// is the CNAME record and NXDOMAIN: the RCODE is that of the last name in
	// the chain (RFC 6604 section 3). A query for the type CNAME gets the record
	// alone.
	//
	// The server follows 16 aliases and goes to no name twice: a longer chain and
	// a loop end with the CNAME records so far, and success.
	CNAME string

	// CNAMETTL is the TTL of the CNAME record in seconds.
	CNAMETTL uint32
}

// Answer is the answer to queries of one type. The zero value is NODATA at once.
type Answer struct {
	// Addrs are the records of an A or AAAA answer, sent in this order. With no
	// record of any kind and RCode zero an answer is NODATA: the name exists and
	// has no such record. Those of an A answer must be IPv4, those of an AAAA
	// answer IPv6 without a zone; an IPv4-mapped one is IPv6.
	//
	// Over UDP Go's resolver takes 1232 bytes: about 70 IPv4 or 40 IPv6
	// addresses. To a client that takes less than the answer has, the answer goes
	// out truncated and without records, and the client asks again over TCP. More
	// than the 65535 bytes of a message are never sent: that is truncated too.
	Addrs []netip.Addr

	// Services are the records of an HTTPS or SVCB answer, in this order.
	Services []Service

	// Hosts are the records of an SRV answer, in this order.
	Hosts []SRV

	// Raw are records of the type asked for by nothing but their RDATA, whatever
	// it is. They come after the others.
	Raw [][]byte

	// RCode goes into the header, whatever the records are; 0 (success) to 15.
	RCode dnsmessage.RCode

	// Delay is the time from reading the query to sending the answer. Zero and
	// less answer at once. A delayed answer holds up no other.
	Delay time.Duration

	// Drop leaves the query without an answer, like a lost packet. Nothing else
	// matters then but Then.
	Drop bool

	// TTL is that of every record, in seconds. Zero is sent as 0: not to be
	// cached.
	TTL uint32

	// Truncate answers over UDP with the TC bit and no records, however few there
	// are. Over TCP it changes nothing.
	Truncate bool

	// Malformed spoils the reply, over UDP and over TCP. A truncated reply stays
	// well-formed: with Truncate, the client sees the malformed one over TCP.
	Malformed Malformed

	// Then is what the next query for this name and type gets; nil repeats this
	// answer for ever. It may lead back to an earlier one. Each name and type has
	// its own turn, and Set starts anew.
	//
	// A retry over TCP is no next query. As such counts the first query over TCP
	// after a truncated reply over UDP, whoever sends it, if no other over UDP
	// came in between: it gets the answer that was truncated.
	Then *Answer
}

// SRV is one record of an SRV answer (RFC 2782).
type SRV struct {
	Priority, Weight, Port uint16
	Target                 string // "." says that there is no such service
}

// Check returns everything that can't be sent in a, as the script of name: which
// field, and what is allowed. Nil means that [DNS.Set] takes it.
func (a Answers) Check(name string) error {
	problems := []error{checkName("the name", name)}
	for _, t := range a.typed() {
		if a.CNAME != "" && !reflect.ValueOf(t.answer).IsZero() {
			problems = append(problems, fmt.Errorf("%s can't stand beside CNAME: an alias has no other records, put them at %q", t.field, a.CNAME))
		}
		problems = append(problems, t.check()...)
	}
	problems = append(problems, checkName("CNAME", a.CNAME))
	return errors.Join(problems...)
}

// typedAnswer is an answer, and where in Answers it stands.
type typedAnswer struct {
	field  string
	kind   dnsmessage.Type
	answer Answer
}

// typed lists the answers by type, always in the same order.
func (a Answers) typed() []typedAnswer {
	all := []typedAnswer{
		{"A", dnsmessage.TypeA, a.A},
		{"AAAA", dnsmessage.TypeAAAA, a.AAAA},
		{"HTTPS", dnsmessage.TypeHTTPS, a.HTTPS},
		{"SVCB", dnsmessage.TypeSVCB, a.SVCB},
		{"SRV", dnsmessage.TypeSRV, a.SRV},
	}
	for _, kind := range slices.Sorted(maps.Keys(a.Other)) {
		all = append(all, typedAnswer{"Other[" + typeName(kind) + "]", kind, a.Other[kind]})
	}
	return all
}

// check follows Then, each answer once.
func (t typedAnswer) check() []error {
	problems := t.checkPlace()
	seen := make(map[*Answer]bool)
	field := t.field
	for a := &t.answer; a != nil && !seen[a]; a = a.Then {
		seen[a] = true
		problems = append(problems, a.check(field, t.kind)...)
		field += ".Then"
	}
	return problems
}

// checkPlace sees that Other holds no type that has a field.
func (t typedAnswer) checkPlace() []error {
	switch name := typeName(t.kind); name {
	case "A", "AAAA", "HTTPS", "SVCB", "SRV", "CNAME":
		if t.field != name {
			return []error{fmt.Errorf("%s is in the wrong place: use the field %s", t.field, name)}
		}
	}
	return nil
}

// check says what is wrong with one answer of a type, without what follows.
func (a *Answer) check(field string, kind dnsmessage.Type) []error {
	problems := slices.Concat(a.checkAddrs(field, kind), a.checkServices(field, kind), a.checkHosts(field, kind))
	if a.RCode > maxRCode {
		problems = append(problems, fmt.Errorf("%s.RCode %d does not fit the header: use 0 to %d", field, a.RCode, maxRCode))
	}
	if err := a.Malformed.check(field, a.records() > 0); err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return problems // a record that is wrong has no wire form to judge
	}
	for _, body := range a.bodies(kind) {
		if err := packable(body); err != nil {
			problems = append(problems, fmt.Errorf("%s: a record does not fit a message: %w", field, err))
		}
	}
	return problems
}

// maxRCode is the largest in the header's four bits (RFC 1035 section 4.1.1).
const maxRCode = 15

func (a *Answer) checkAddrs(field string, kind dnsmessage.Type) (problems []error) {
	for _, addr := range a.Addrs {
		switch {
		case kind == dnsmessage.TypeA && addr.Is4(),
			kind == dnsmessage.TypeAAAA && addr.Is6() && addr.Zone() == "":
		case kind == dnsmessage.TypeA:
			problems = append(problems, fmt.Errorf("%s can't hold %v: put IPv6 addresses into AAAA", field, addr))
		case kind == dnsmessage.TypeAAAA:
			problems = append(problems, fmt.Errorf("%s can't hold %v: put IPv4 addresses into A, and drop zones", field, addr))
		default:
			problems = append(problems, fmt.Errorf("%s can't hold %v: put addresses into A and AAAA", field, addr))
		}
	}
	return problems
}

func (a *Answer) checkServices(field string, kind dnsmessage.Type) (problems []error) {
	if len(a.Services) > 0 && kind != dnsmessage.TypeHTTPS && kind != dnsmessage.TypeSVCB {
		problems = append(problems, fmt.Errorf("%s can't hold Services: put them into HTTPS or SVCB", field))
	}
	for i, s := range a.Services {
		problems = append(problems, s.check(fmt.Sprintf("%s.Services[%d]", field, i))...)
	}
	return problems
}

func (a *Answer) checkHosts(field string, kind dnsmessage.Type) (problems []error) {
	if len(a.Hosts) > 0 && kind != dnsmessage.TypeSRV {
		problems = append(problems, fmt.Errorf("%s can't hold Hosts: put them into SRV", field))
	}
	for i, h := range a.Hosts {
		where := fmt.Sprintf("%s.Hosts[%d].Target", field, i)
		if h.Target == "" {
			problems = append(problems, fmt.Errorf(`%s is missing: use a name, or "." for no service`, where))
		}
		if err := checkName(where, h.Target); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}
