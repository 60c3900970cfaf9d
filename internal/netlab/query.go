package netlab

import (
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Sizes in bytes of a message. Over UDP: plain (RFC 1035 section 2.3.4), the one
// this server states as its own, which is what Go's resolver states, and what
// fits into a datagram of IPv4. Over TCP: what its length field can say.
const (
	plainSize    = 512
	serverSize   = 1232
	datagramSize = 65507
	streamSize   = 65535
)

// The transports, as Question has them.
const (
	overUDP = "udp"
	overTCP = "tcp"
)

// query is what a reply must repeat and respect of its query.
type query struct {
	over     string // overUDP or overTCP
	from     netip.AddrPort
	header   dnsmessage.Header
	question dnsmessage.Question
	edns     bool // the query had an OPT record
	size     int  // bytes the client takes over UDP
}

// parseQuery reads a query's first question and its EDNS size.
func parseQuery(packet []byte, over string, from netip.AddrPort) (query, error) {
	var p dnsmessage.Parser
	header, err := p.Start(packet)
	if err != nil {
		return query{}, err
	}
	if header.Response || header.OpCode != 0 {
		return query{}, errors.New("not a query")
	}
	question, err := p.Question()
	if err != nil {
		return query{}, err
	}
	q := query{over: over, from: from, header: header, question: question, size: plainSize}
	return q, q.readEDNS(&p)
}

// readEDNS looks for the OPT record among the additional ones. RFC 6891 section
// 6.2.3: a size below 512 counts as 512.
func (q *query) readEDNS(p *dnsmessage.Parser) error {
	err := errors.Join(p.SkipAllQuestions(), p.SkipAllAnswers(), p.SkipAllAuthorities())
	if err != nil {
		return err
	}
	additionals, err := p.AllAdditionals()
	if err != nil {
		return err
	}
	for _, r := range additionals {
		if r.Header.Type == dnsmessage.TypeOPT {
			q.edns = true
			q.size = max(plainSize, int(r.Header.Class))
		}
	}
	return nil
}

// message has the bits Go's resolver wants to see, or it takes the reply for a
// lame delegation: authoritative, and recursion available.
func (q query) message(rcode dnsmessage.RCode, records []dnsmessage.Resource) dnsmessage.Message {
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID:                 q.header.ID,
			Response:           true,
			Authoritative:      true,
			RecursionDesired:   q.header.RecursionDesired,
			RecursionAvailable: true,
			RCode:              rcode,
		},
		Questions: []dnsmessage.Question{q.question},
		Answers:   records,
	}
	if q.edns {
		m.Additionals = []dnsmessage.Resource{opt()}
	}
	return m
}

// opt answers a query that has an OPT record (RFC 6891 section 6.1.1: a reply to
// one must have one too).
func opt() dnsmessage.Resource {
	r := dnsmessage.Resource{Body: &dnsmessage.OPTResource{}}
	// It has no error to return: see its source.
	_ = r.Header.SetEDNS0(serverSize, dnsmessage.RCodeSuccess, false)
	return r
}

// pack is the wire form of a reply: truncated and without records where it
// exceeds what the client takes, and over UDP where truncate wants it.
func (q query) pack(m dnsmessage.Message, truncate bool) (packet []byte, truncated bool, err error) {
	if !truncate || q.over == overTCP {
		packet, err = m.Pack()
		if err == nil && len(packet) <= q.limit() {
			return packet, false, nil
		}
	}
	m.Truncated, m.Answers = true, nil
	packet, err = m.Pack()
	return packet, true, err
}

// limit is how many bytes a reply may have.
func (q query) limit() int {
	if q.over == overTCP {
		return streamSize
	}
	return min(q.size, datagramSize)
}

// typeName is the mnemonic of a type, or its form of RFC 3597 section 5.
func typeName(t dnsmessage.Type) string {
	if name, ok := strings.CutPrefix(t.String(), "Type"); ok {
		return name
	}
	return "TYPE" + t.String()
}
