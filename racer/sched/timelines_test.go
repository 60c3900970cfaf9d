package sched

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/connrace/connrace/racer/addrsel"
)

// TestTimelines: the eight timelines of draft v3, section 4.2.2, as it tells them
// (H3-09), and what a race would start then if all stayed silent. The scenarios
// timeline_1 to timeline_8 are these with an attempt that connects; they must begin
// the same way.
func TestTimelines(t *testing.T) {
	tests := []struct {
		name    string
		routed  addrsel.Family
		asked   []RecordType
		answers []Event
		want    string
	}{
		{
			name:  "1: service information and AAAA together, then A",
			asked: []RecordType{HTTPS, AAAA, A},
			answers: []Event{
				resolved(0, 30*ms, 0),
				resolved(1, 30*ms, 0, "2001:db8::1", "2001:db8::2"),
				resolved(2, 32*ms, 2, "192.0.2.1", "192.0.2.2"),
			},
			want: "0 at 30ms, 2 at 280ms, 1 at 530ms, 3 at 780ms",
		},
		{
			name:  "2: AAAA within the Resolution Delay",
			asked: []RecordType{HTTPS, AAAA, A},
			answers: []Event{
				resolved(0, 30*ms, 0),
				resolved(2, 30*ms, 0, "192.0.2.1", "192.0.2.2"),
				resolved(1, 40*ms, 2, "2001:db8::1", "2001:db8::2"),
			},
			want: "2 at 40ms, 0 at 290ms, 3 at 540ms, 1 at 790ms",
		},
		{
			name:  "3: AAAA after the Resolution Delay",
			asked: []RecordType{HTTPS, AAAA, A},
			answers: []Event{
				resolved(0, 30*ms, 0),
				resolved(2, 30*ms, 0, "192.0.2.1", "192.0.2.2"),
				resolved(1, 180*ms, 2, "2001:db8::1", "2001:db8::2"),
			},
			want: "0 at 80ms, 2 at 330ms, 3 at 580ms, 1 at 830ms",
		},
		{
			name:  "4: service information within the Resolution Delay",
			asked: []RecordType{HTTPS, AAAA, A},
			answers: []Event{
				resolved(1, 30*ms, 0, "2001:db8::1", "2001:db8::2"),
				resolved(2, 30*ms, 2, "192.0.2.1", "192.0.2.2"),
				resolved(0, 40*ms, 4),
			},
			want: "0 at 40ms, 2 at 290ms, 1 at 540ms, 3 at 790ms",
		},
		{
			name:  "5: service information very late",
			asked: []RecordType{HTTPS, AAAA, A},
			answers: []Event{
				resolved(1, 30*ms, 0, "2001:db8::1", "2001:db8::2"),
				resolved(2, 30*ms, 2, "192.0.2.1", "192.0.2.2"),
				resolved(0, 10*time.Second, 4),
			},
			want: "0 at 80ms, 2 at 330ms, 1 at 580ms, 3 at 830ms",
		},
		{
			name:  "6: hints of both families, then AAAA and A",
			asked: []RecordType{HTTPS, AAAA, A},
			answers: []Event{
				hinted(resolved(0, 30*ms, 0, "2001:db8::1", "192.0.2.1")),
				resolved(1, 50*ms, 2, "2001:db8::1"),
				resolved(2, 60*ms, 3, "192.0.2.1"),
			},
			want: "0 at 30ms, 3 at 280ms",
		},
		{
			name:  "7: a second service at another name",
			asked: []RecordType{HTTPS, AAAA, A},
			answers: []Event{
				{Kind: Resolved, At: 30 * ms, Follow: []Question{{"alt.example", AAAA}, {"alt.example", A}}},
				served(1, resolved(1, 30*ms, 0, "2001:db8::1", "2001:db8::2")),
				served(1, resolved(2, 30*ms, 2, "192.0.2.1", "192.0.2.2")),
				served(2, resolved(3, 60*ms, 4, "2001:db8::3", "2001:db8::4")),
				served(2, resolved(4, 60*ms, 6, "192.0.2.3", "192.0.2.4")),
			},
			want: "0 at 30ms, 2 at 280ms, 1 at 530ms, 3 at 780ms, 4 at 1.03s, 6 at 1.28s, 5 at 1.53s, 7 at 1.78s",
		},
		{
			name:   "8: a network with IPv4 alone",
			routed: addrsel.FamilyIPv4,
			asked:  []RecordType{HTTPS, A},
			answers: []Event{
				resolved(1, 30*ms, 0, "192.0.2.1", "192.0.2.2"),
				resolved(0, 40*ms, 2),
			},
			want: "0 at 40ms, 1 at 290ms",
		},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Default()
			cfg.OnlyRouted, cfg.Questions = tt.routed, questions(tt.asked...)
			got := startsText(Plan(cfg, tt.answers))
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			s, _, _ := readScenario(t, fmt.Sprintf("testdata/scenarios/timeline_%d.txt", i+1))
			if told := s.expect.starts; told == "" || !strings.HasPrefix(tt.want+", ", told+", ") {
				t.Errorf("the scenario begins with %s, the table with %s", told, tt.want)
			}
		})
	}
}

// hinted makes the candidates of an answer hints of the usual name.
func hinted(e Event) Event {
	for i := range e.Candidates {
		e.Candidates[i].Hint = exampleName
	}
	return e
}

// served puts the candidates of an answer into the group of a service.
func served(priority uint16, e Event) Event {
	for i := range e.Candidates {
		e.Candidates[i].Group.Priority = priority
	}
	return e
}

func startsText(plan []Planned) string {
	var starts []string
	for _, p := range plan {
		starts = append(starts, when(p.Candidate, p.At))
	}
	return strings.Join(starts, ", ")
}
