package main

import (
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == workerCommand {
		exit(work(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// Every program does what its row says: races that are won by the one good endpoint,
// with as many attempts as there are endpoints, all of them under way at once.
func TestPrograms(t *testing.T) {
	t.Chdir("..") // where the C program's source is
	places, err := openPlaces(nil)
	if err != nil {
		t.Fatal(err)
	}
	programs, cleanup, err := availablePrograms("")
	if err != nil {
		t.Fatal(err)
	}
	defer cleanup()
	for _, c := range places[0].cases() {
		for _, p := range programs {
			s, err := p.run(c, pace{warm: 10 * time.Millisecond, measure: 30 * time.Millisecond})
			if err != nil {
				t.Fatalf("%s: %v", c.title(), err)
			}
			// Those under way when the time began and ended count on one side alone.
			want, under := s.Races*float64(c.Width), float64(2*c.InFlight*c.Width)
			if s.Attempts < want-under || s.Attempts > want+under || s.Failures != 0 {
				t.Errorf("%s, %s: %v attempts and %v failures in %v races", c.title(), p.Name, s.Attempts, s.Failures, s.Races)
			}
			if cpu := s.UserMicros + s.SystemMicros; cpu <= 0 || s.WallMicros < 30_000 {
				t.Errorf("%s, %s: %v µs of CPU in %v µs", c.title(), p.Name, cpu, s.WallMicros)
			}
		}
	}
}

func TestResult(t *testing.T) {
	got := resultOf("x", []sample{
		{UserMicros: 10, SystemMicros: 30, WallMicros: 100, Races: 10, Failures: 1, Switches: 20, Allocations: 50},
		{UserMicros: 30, SystemMicros: 60, WallMicros: 90, Races: 10, Failures: 2, Switches: 30, Allocations: 50},
		{UserMicros: 10, SystemMicros: 10, WallMicros: 300, Races: 10, Switches: 40, Allocations: 60},
	})
	if got.CPU != (spread{4, 2, 9}) || got.Wall != (spread{10, 9, 30}) || got.System != 3 ||
		got.Switches != 3 || got.Allocations != 5 || got.Failures != 3 {
		t.Errorf("it is %+v", got)
	}
}

// A bar is there for the rows it is meant for, and not where a program was left out.
func TestBars(t *testing.T) {
	costs := func(c, bare, racer, dialer float64) []result {
		return []result{
			{Program: nameC, CPU: spread{Median: c}},
			{Program: nameBare, CPU: spread{Median: bare}},
			{Program: nameRacer, CPU: spread{Median: racer}},
			{Program: nameDialer, CPU: spread{Median: dialer}},
		}
	}
	var r report
	r.add(row{Place: loopbackName, Case: "two", Width: 2, Results: costs(10, 12, 20, 40)})
	r.add(row{Place: "link", Case: "eight", Width: 8, Results: costs(10, 11, 20, 40)})
	r.add(row{Place: "link", Case: "without C", Width: 8, Results: costs(10, 11, 20, 40)[1:]})
	want := []bar{
		{"loopback: two", nameBare, nameC, 1.2, 1.15},
		{"link: eight", nameBare, nameC, 1.1, 1.15},
		{"link: eight", nameBare, nameDialer, 0.275, 0.3},
		{"link: eight", nameRacer, nameC, 2, 1.5},
		{"link: eight", nameRacer, nameDialer, 0.5, 0.3},
		{"link: without C", nameBare, nameDialer, 0.275, 0.3},
		{"link: without C", nameRacer, nameDialer, 0.5, 0.3},
	}
	if len(r.Bars) != len(want) {
		t.Fatalf("there are %+v", r.Bars)
	}
	for i := range want {
		if r.Bars[i] != want[i] {
			t.Errorf("bar %d is %+v, want %+v", i, r.Bars[i], want[i])
		}
	}
}
