package link

import (
	"net/netip"
	"time"
)

// request is what one line to the link's process asks: one of its fields.
type request struct {
	Start    *Config  `json:"start,omitempty"` // always the first one
	Set      *setting `json:"set,omitempty"`
	Packets  *pages   `json:"packets,omitempty"`
	Lateness *pages   `json:"lateness,omitempty"`
}

// setting is an [Emulator.Set].
type setting struct {
	Addr netip.Addr `json:"addr"`
	Path Path       `json:"path"`
}

// pages asks for the part of a list that begins at From. A list comes in parts,
// so that the link doesn't stop for long while it is written.
type pages struct {
	From int `json:"from"`
	End  int `json:"end"` // where the list is to end; 0 is what there is by now
}

// The most that goes into one reply: well below a millisecond's work, and what a
// socket has room for.
const (
	packetsPerPage  = 200
	latenessPerPage = 4000
)

// reply is the line that answers a request.
type reply struct {
	Error string `json:"error,omitempty"` // why it could not be done

	Packets  []Packet        `json:"packets,omitempty"`
	LeftOut  int             `json:"leftOut,omitempty"`
	Lateness []time.Duration `json:"latenessNs,omitempty"`

	// Next is where the next page begins and End where the list ends, the same
	// when it was the last page.
	Next int `json:"next,omitempty"`
	End  int `json:"end,omitempty"`
}

// do does what is asked of e at now.
func (r request) do(e *Emulator, now time.Duration) reply {
	switch {
	case r.Set != nil:
		if err := e.Set(r.Set.Addr, r.Set.Path); err != nil {
			return reply{Error: err.Error()}
		}
	case r.Packets != nil:
		return r.Packets.packets(e, now)
	case r.Lateness != nil:
		return r.Lateness.lateness(e)
	}
	return reply{}
}

func (p pages) packets(e *Emulator, now time.Duration) reply {
	end := p.end(e.journal.length)
	next := min(p.From+packetsPerPage, end)
	return reply{
		Packets: e.journal.page(p.From, next, now), LeftOut: e.journal.leftOut,
		Next: next, End: end,
	}
}

func (p pages) lateness(e *Emulator) reply {
	end := p.end(e.late.total)
	values, next := e.late.page(p.From, end, latenessPerPage)
	return reply{Lateness: values, Next: next, End: end}
}

func (p pages) end(length int) int {
	if p.End == 0 {
		return length
	}
	return min(p.End, length)
}
