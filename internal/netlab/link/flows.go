package link

import (
	"container/list"
	"net/netip"
)

// maxFlows is how many connections are known at once; the oldest is forgotten.
const maxFlows = 100_000

// flow is the name of a TCP connection.
type flow struct{ client, server netip.AddrPort }

// handshake is a connection whose SYN-ACK was seen.
type handshake struct {
	flow flow
	ack  uint32 // what acknowledges the SYN-ACK
	done bool   // the server has that acknowledgement, or will
}

// flows knows which connections are about to be established.
type flows struct {
	byName map[flow]*list.Element // of *handshake
	byAge  *list.List             // oldest first
}

func newFlows() flows { return flows{make(map[flow]*list.Element), list.New()} }

// kind names a TCP segment, and learns from it. A segment that is of no interest
// has none.
func (t flows) kind(f *frame, from Side) Kind {
	tcp := &f.tcp
	switch {
	case tcp.RST:
		t.forget(f.flow(from))
		return RST
	case tcp.SYN && tcp.ACK:
		if from == Server {
			t.learn(f.flow(from), tcp.Seq+1)
		}
		return SYNACK
	case tcp.SYN:
		return SYN
	case from == Client && tcp.ACK && t.completes(f.flow(from), tcp.Ack):
		return Established
	case tcp.FIN:
		t.forget(f.flow(from))
		return FIN
	}
	return ""
}

// learn takes a SYN-ACK; one that is sent again changes nothing.
func (t flows) learn(name flow, ack uint32) {
	if e, known := t.byName[name]; known {
		if e.Value.(*handshake).ack == ack {
			return
		}
		t.forget(name)
	}
	if len(t.byName) == maxFlows {
		t.forget(t.byAge.Front().Value.(*handshake).flow)
	}
	t.byName[name] = t.byAge.PushBack(&handshake{flow: name, ack: ack})
}

// completes reports whether ack is the one that the server waits for, or one that
// takes in what the server has sent since.
func (t flows) completes(name flow, ack uint32) bool {
	e, known := t.byName[name]
	if !known {
		return false
	}
	h := e.Value.(*handshake)
	return !h.done && int32(ack-h.ack) >= 0 // modulo 2^32, RFC 9293 section 3.4
}

// complete says that the server gets the acknowledgement.
func (t flows) complete(name flow) { t.byName[name].Value.(*handshake).done = true }

func (t flows) forget(name flow) {
	if e, known := t.byName[name]; known {
		t.byAge.Remove(e)
		delete(t.byName, name)
	}
}
