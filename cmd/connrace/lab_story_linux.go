package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/connrace/connrace/internal/netlab/link"
)

// printStory prints what the lab saw while a program ran: the questions to its
// name server, the packets that begin connections or end them by force, and
// those that were lost.
func (r *labRecord) printStory(out *output) {
	p := &page{style: styleOf(out.stderr)}
	p.text.WriteByte('\n') // apart from what the program printed
	p.heading(r.headline(), r.About)
	t := &table{columns: []column{{right: true}, {}, {}, {spare: 1}}}
	rows := r.story()
	for _, h := range rows[:min(len(rows), maxStory)] {
		t.add(text(offset(h.at)), text(h.what), text(h.who), cell{h.note, dim})
	}
	t.fit(p.style.width)
	for _, l := range t.lines(p.style) {
		p.line(l.text)
	}
	if left := len(rows) - maxStory; left > 0 {
		p.line(fmt.Sprintf("and %d more; --log FILE keeps all", left))
	}
	_, _ = out.stderr.Write(p.text.Bytes()) // nobody is left to tell
}

// maxStory is how many lines a person reads.
const maxStory = 60

func (r *labRecord) headline() string {
	return fmt.Sprintf("%s ended with exit code %d after %s", printable(filepath.Base(r.Command[0])), r.ExitCode, humanDuration(r.took))
}

// happening is a line of the story.
type happening struct {
	at              time.Duration // since the program began
	what, who, note string
}

// story is all of it in the order of time.
func (r *labRecord) story() []happening {
	var all []happening
	for _, q := range r.Queries {
		all = append(all, happening{at: q.at, what: "query", who: printable(q.Name) + " " + q.Type, note: unlessUDP(q.Over)})
	}
	for i := range r.Packets {
		if h, ok := r.Packets[i].tell(); ok {
			all = append(all, h)
		}
	}
	slices.SortStableFunc(all, func(a, b happening) int { return int(a.at - b.at) })
	return all
}

// tell makes a line of a packet, unless it goes without saying: a SYN-ACK that
// arrived, the end of a connection by FIN, a datagram.
func (p *labPacket) tell() (happening, bool) {
	h := happening{at: p.at, what: p.Kind, who: p.server(), note: p.note()}
	switch p.link.Kind {
	case link.SYNACK, link.FIN, link.UDP:
		return h, !p.arrives()
	default:
		return h, true
	}
}

func (p *labPacket) arrives() bool {
	return p.link.Fate == link.Delivered || p.link.Fate == link.Underway
}

// server is the server's end, or the one that an ICMP error is about.
func (p *labPacket) server() string {
	switch {
	case p.About != "":
		return p.About
	case p.link.By == link.Client:
		return p.To
	default:
		return p.From
	}
}

// note says what became of a packet, unless it just arrived, and who sent it,
// unless the client did.
func (p *labPacket) note() string {
	var parts []string
	if !p.arrives() {
		parts = append(parts, p.Fate)
	}
	switch {
	case p.About != "":
		parts = append(parts, "from "+p.link.From.Addr().String())
	case p.link.By == link.Server:
		parts = append(parts, "from the server")
	}
	return strings.Join(parts, ", ")
}

func unlessUDP(over string) string {
	if over == "udp" {
		return ""
	}
	return "over " + over
}

// offset is a time since the start of the program, to a tenth of a millisecond.
func offset(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }
