package sim

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
)

// The same worlds and dialers give the same rows on any number of CPUs, and in any
// run.
func TestSameRows(t *testing.T) {
	table := func(cpus int) string {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cpus))
		rows, err := Experiment{Worlds: 300, World: Random(3, Kinds()...), Dialers: Strategies()}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%+v", rows)
	}
	one := table(1)
	for _, cpus := range []int{1, 2, 7} {
		if got := table(cpus); got != one {
			t.Errorf("on %d CPUs:\n%s\nwant\n%s", cpus, got, one)
		}
	}
}

// A dialer's results do not depend on who ran before it.
func TestRunnerKeepsNothing(t *testing.T) {
	var r runner
	for number := range 300 {
		w := Random(5, Kinds()...)(number)
		for _, d := range Strategies() {
			if got, want := r.run(&w, d), Run(w, d); got != want {
				t.Fatalf("world %d, %s: %+v, on a new host %+v", number, d.Name, got, want)
			}
		}
	}
}

// There is a row for each name and dialer, in the order of their first coming.
func TestRows(t *testing.T) {
	a, b := plain(v4(1, up(20*ms))), plain(v4(1, up(40*ms)))
	a.Name, b.Name = "a", "b"
	another := Dialer{Name: "another", Dial: first.Dial}
	rows, err := Experiment{Worlds: 3, World: Fixed(b, b, a), Dialers: []Dialer{first, another}}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprintf("%s %s %d %v", r.World, r.Dialer, r.Worlds, r.P50))
	}
	want := []string{"b first 2 40ms", "b another 2 40ms", "a first 1 20ms", "a another 1 20ms"}
	if !slices.Equal(got, want) {
		t.Errorf("rows are %q, want %q", got, want)
	}
}

func TestProgress(t *testing.T) {
	for _, worlds := range []int{0, 1, 99, 100, 250} {
		var told []int
		inside := atomic.Bool{}
		_, err := Experiment{Worlds: worlds, World: Random(1, Healthy), Dialers: []Dialer{first}, Progress: func(done int) {
			if inside.Swap(true) {
				t.Error("two goroutines tell at once")
			}
			told = append(told, done)
			inside.Store(false)
		}}.Run(t.Context())
		var want []int
		for n := reportEvery; n < worlds; n += reportEvery {
			want = append(want, n)
		}
		if worlds > 0 {
			want = append(want, worlds)
		}
		if err != nil || !slices.Equal(told, want) {
			t.Errorf("of %d worlds: told %v (%v), want %v", worlds, told, err, want)
		}
	}
}

// A caller who leaves gets no rows, and soon.
func TestCancelledExperiment(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var worlds atomic.Int64
	rows, err := Experiment{Worlds: 1 << 20, Dialers: []Dialer{first}, World: func(n int) World {
		if worlds.Add(1) == 10 {
			cancel()
		}
		return Generate(Healthy, 1, n)
	}}.Run(ctx)
	if rows != nil || !errors.Is(err, context.Canceled) || worlds.Load() > 100 {
		t.Errorf("%d rows, error %v after %d worlds", len(rows), err, worlds.Load())
	}
}
