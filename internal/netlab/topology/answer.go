package topology

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Answer is what the resolver answers to queries of one type for one name. With
// no records and RCode 0 it is NODATA: the name exists and has no such record.
type Answer struct {
	Addresses []netip.Addr // of A and AAAA, in the order they are sent, repeated ones too
	Services  []Service    // of HTTPS and SVCB
	Servers   []Server     // of SRV

	// TTL is that of the records, in seconds. Default [DefaultTTL].
	TTL uint32

	// Delay is the time from the query to the answer at the resolver. It comes on
	// top of the path's. 0 to 1 h. Default 0.
	Delay time.Duration

	// RCode goes into the header, whatever the records: 0 to 10, in the file as the
	// words of RFC 1035 and 2136. Default 0, NOERROR.
	RCode uint16

	// Drop leaves the query without an answer.
	Drop bool

	// Truncate answers queries over UDP with the TC bit and no records; those over
	// TCP get all.
	Truncate bool

	// Malformed is the way in which the reply is spoiled, one of noise, wrong-id,
	// wrong-question, wrong-counts, cut, pointer-loop, short-rdata, long-rdlength;
	// the last four come only with records. "" is none.
	Malformed string

	// Then, if not nil, is what the second query gets, and all after it unless it
	// has a Then of its own.
	Then *Answer
}

// DefaultTTL is that of the records of an answer, in seconds: longer than a lab
// is looked at, so that caches work as they do elsewhere.
const DefaultTTL = 60

// maxTTL is the largest a TTL can be: RFC 2181 section 8.
const maxTTL = 1<<31 - 1

// rcodes are the words for the codes of an answer, each at its number (RFC 1035
// section 4.1.1, RFC 2136 section 2.2).
var rcodes = []string{
	"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
	"YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
}

// The ways in which a reply can be spoiled: as a whole, and in a record, which it
// must have then.
var (
	spoiledReplies = []string{"noise", "wrong-id", "wrong-question", "wrong-counts"}
	spoiledRecords = []string{"cut", "pointer-loop", "short-rdata", "long-rdlength"}
)

// readAnswer reads one answer: the records alone, or a mapping in which they have
// the key content.
func readAnswer(n node, content string, read func(node, *Answer)) *Answer {
	if !n.given() {
		return nil
	}
	a := &Answer{TTL: DefaultTTL}
	if !n.isMapping() {
		read(n, a)
	} else {
		keys := n.keys(content, "ttl", "delay", "rcode", "drop", "truncate", "malformed", "then")
		read(keys[content], a)
		a.TTL = readTTL(keys["ttl"])
		a.Delay = scalar(keys["delay"], 0, parseWait)
		a.RCode = scalar(keys["rcode"], 0, parseRCode)
		a.Drop = keys["drop"].flag()
		a.Truncate = keys["truncate"].flag()
		a.Malformed = readMalformed(keys["malformed"], keys[content])
		a.Then = readAnswer(keys["then"], content, read)
	}
	return a
}

func readTTL(n node) uint32 { return uint32(n.number(0, maxTTL, DefaultTTL)) }

func readMalformed(n, records node) string {
	kind := n.word("", slices.Concat(spoiledReplies, spoiledRecords)...)
	if slices.Contains(spoiledRecords, kind) && (!records.given() || records.isEmptyList()) {
		n.wrong("it spoils a record, and there is none; add one, or write one of " + strings.Join(spoiledReplies, ", "))
	}
	return kind
}

func parseRCode(text string) (uint16, error) {
	code := slices.Index(rcodes, text)
	if code < 0 {
		return 0, errors.New("write one of " + strings.Join(rcodes, ", "))
	}
	return uint16(code), nil
}

func readA(n node, a *Answer) {
	a.Addresses = readList(n, "write a list of IPv4 addresses, such as [198.51.100.1]; [] is none", parseAddr4)
}

func readAAAA(n node, a *Answer) {
	a.Addresses = readList(n, "write a list of IPv6 addresses, such as [2001:db8:80::1]; [] is none", parseAddr6)
}
