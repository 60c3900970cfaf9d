package netlab

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// script is what a server was told to answer, by the key of the name. It knows
// no socket and no clock; whose turn it is, is its only state.
type script map[string]*scriptedName

// scriptedName is the script of one name.
type scriptedName struct {
	alias dnsmessage.ResourceBody // the CNAME record; nil if the name is no alias
	ttl   uint32                  // of alias
	turns map[dnsmessage.Type]*turns
}

// turns is who comes next for one name and type.
type turns struct {
	next  *step
	retry *step // went out truncated over UDP and may be asked for again over TCP; nil if none did
}

// step is an [Answer] made ready.
type step struct {
	bodies    []dnsmessage.ResourceBody
	rcode     dnsmessage.RCode
	delay     time.Duration
	drop      bool
	ttl       uint32
	truncate  bool
	malformed Malformed
	then      *step // never nil
}

// set replaces the script of a name by answers that have passed their check.
// Nothing in it is the caller's memory.
func (s script) set(name string, a Answers) {
	scripted := &scriptedName{ttl: a.CNAMETTL, turns: make(map[dnsmessage.Type]*turns)}
	if a.CNAME != "" {
		scripted.alias = &dnsmessage.CNAMEResource{CNAME: fullName(a.CNAME)}
	}
	for _, t := range a.typed() {
		scripted.turns[t.kind] = &turns{next: newStep(&t.answer, t.kind, make(map[*Answer]*step))}
	}
	s[key(name)] = scripted
}

// newStep makes a and all that follow it, each once: made has those so far.
func newStep(a *Answer, kind dnsmessage.Type, made map[*Answer]*step) *step {
	if s, ok := made[a]; ok {
		return s
	}
	s := &step{
		bodies:    a.bodies(kind),
		rcode:     a.RCode,
		delay:     max(0, a.Delay),
		drop:      a.Drop,
		ttl:       a.TTL,
		truncate:  a.Truncate,
		malformed: a.Malformed,
	}
	made[a] = s
	s.then = s
	if a.Then != nil {
		s.then = newStep(a.Then, kind, made)
	}
	return s
}

// reply is the packet that answers q, and how long it is to wait. Not ok means
// that there is none.
func (s script) reply(q query) (packet []byte, delay time.Duration, ok bool) {
	aliases, owner, turns := s.follow(q.question)
	step := turns.take(q.over)
	if step.drop {
		return nil, 0, false
	}
	m := q.message(step.rcode, append(aliases, step.records(owner)...))
	packet, truncated, err := q.pack(m, step.truncate)
	if err != nil {
		return nil, 0, false
	}
	if truncated {
		turns.cut(step, q.over)
		return packet, step.delay, true
	}
	return step.malformed.spoil(packet), step.delay, true
}

// maxAliases is how many aliases in a row the server follows. Resolvers give up
// after 8 to 16.
const maxAliases = 16

// follow goes from alias to alias until a name has the answer: whose it is, its
// turns, and the CNAME records on the way.
func (s script) follow(q dnsmessage.Question) (aliases []dnsmessage.Resource, owner dnsmessage.Name, t *turns) {
	owner = q.Name
	var passed []string
	for {
		k := key(owner.String())
		name, known := s[k]
		switch {
		case !known:
			return aliases, owner, always(dnsmessage.RCodeNameError)
		case name.alias == nil:
			return aliases, owner, name.of(q.Type)
		case len(passed) == maxAliases, slices.Contains(passed, k):
			return aliases, owner, always(dnsmessage.RCodeSuccess)
		}
		aliases = append(aliases, record(owner, name.ttl, name.alias))
		// RFC 1034 section 4.3.2, step 3a: an alias is what these ask for.
		if q.Type == dnsmessage.TypeCNAME || q.Type == dnsmessage.TypeALL {
			return aliases, owner, always(dnsmessage.RCodeSuccess)
		}
		passed = append(passed, k)
		owner = name.alias.(*dnsmessage.CNAMEResource).CNAME
	}
}

// of are the turns of one type; a type without any is NODATA.
func (n *scriptedName) of(kind dnsmessage.Type) *turns {
	if t, ok := n.turns[kind]; ok {
		return t
	}
	return always(dnsmessage.RCodeSuccess)
}

// always are turns without a script: no records, every time.
func always(rcode dnsmessage.RCode) *turns {
	s := &step{rcode: rcode}
	s.then = s
	return &turns{next: s}
}

// take returns the step for a query that has just come and lets the next one move
// up, unless the query is the retry of an earlier one.
func (t *turns) take(over string) *step {
	s := t.retry
	t.retry = nil
	if s != nil && over == overTCP {
		return s
	}
	s = t.next
	t.next = s.then
	return s
}

// cut notes that s went out truncated. Over TCP there is nowhere left to retry.
func (t *turns) cut(s *step, over string) {
	if over == overUDP {
		t.retry = s
	}
}

// records are those of the step, all of one name.
func (s *step) records(owner dnsmessage.Name) []dnsmessage.Resource {
	records := make([]dnsmessage.Resource, len(s.bodies))
	for i, body := range s.bodies {
		records[i] = record(owner, s.ttl, body)
	}
	return records
}

// key is the form of a name that the script goes by. Case means nothing in the
// letters of ASCII, and only there (RFC 4343 section 3).
func key(name string) string {
	k := []byte(strings.TrimSuffix(name, "."))
	for i, c := range k {
		if 'A' <= c && c <= 'Z' {
			k[i] += 'a' - 'A'
		}
	}
	return string(k)
}
