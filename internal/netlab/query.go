package netlab

import (
	"errors"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Sizes in bytes of a message over UDP: plain (RFC 1035 section 2.3.4), and the
// one this server states as its own, which is what Go's resolver states.
const (
	plainSize  = 512
	serverSize = 1232
)

// query is what a reply must repeat and respect of its query.
type query struct {
	header   dnsmessage.Header
	question dnsmessage.Question
	edns     bool // the query had an OPT record
	size     int  // bytes the client takes
}

// parseQuery reads a query's first question and its EDNS size.
func parseQuery(packet []byte) (query, error) {
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
	q := query{header: header, question: question, size: plainSize}
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

// reply is the wire form of a: truncated and without records where it exceeds
// what the client takes.
func (q query) reply(a Answer) ([]byte, error) {
	m := q.message(a)
	packet, err := m.Pack()
	if err == nil && len(packet) <= q.size {
		return packet, nil
	}
	m.Truncated, m.Answers = true, nil
	return m.Pack()
}

// message has the bits Go's resolver wants to see, or it takes the reply for a
// lame delegation: authoritative, and recursion available.
func (q query) message(a Answer) dnsmessage.Message {
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID:                 q.header.ID,
			Response:           true,
			Authoritative:      true,
			RecursionDesired:   q.header.RecursionDesired,
			RecursionAvailable: true,
			RCode:              a.RCode,
		},
		Questions: []dnsmessage.Question{q.question},
		Answers:   a.records(q.question.Name),
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

// typeName is the mnemonic of a type, or its form of RFC 3597 section 5.
func typeName(t dnsmessage.Type) string {
	if name, ok := strings.CutPrefix(t.String(), "Type"); ok {
		return name
	}
	return "TYPE" + t.String()
}
