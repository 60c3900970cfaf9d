package sim

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Run lets d connect in w, once.
func Run(w World, d Dialer) Result {
	var r runner
	return r.run(&w, d)
}

// runner runs one dialer after the other and keeps the memory.
type runner struct {
	clock clock
	host  Host
}

func (r *runner) run(w *World, d Dialer) Result {
	r.clock.reset()
	r.host.begin(&r.clock, w)
	d.Dial(&r.host)
	for !r.host.over {
		r.clock.advance()
	}
	return r.host.result
}

// Experiment lets several dialers connect in the same worlds.
type Experiment struct {
	// Worlds is how many there are. Each costs some 50 bytes for each dialer.
	Worlds int

	// World makes the world with the given number, from 0, and always the same one.
	// It is called from several goroutines at once.
	World func(number int) World

	// Dialers all run in every world.
	Dialers []Dialer

	// Progress is told now and then how many worlds are done, and last that all
	// are. It is called by one goroutine at a time. Nil: nobody wants to know.
	Progress func(done int)
}

// Fixed makes worlds that are given: Experiment.World for len(worlds) of them.
func Fixed(worlds ...World) func(number int) World {
	return func(number int) World { return worlds[number] }
}

// Run runs the experiment on all CPUs. There is a row for each name of worlds and
// each dialer, in the order of the first world of the name, and of Dialers. The
// rows are the same however many CPUs there are. An error is that of ctx.
func (e Experiment) Run(ctx context.Context) ([]Row, error) {
	outcomes := make([]outcome, e.Worlds)
	var next atomic.Int64
	var workers sync.WaitGroup
	report := e.reporter()
	for range min(runtime.GOMAXPROCS(0), e.Worlds) {
		workers.Go(func() {
			var r runner
			for ctx.Err() == nil {
				number := int(next.Add(1)) - 1
				if number >= e.Worlds {
					return
				}
				outcomes[number] = r.outcome(e.World(number), e.Dialers)
				report()
			}
		})
	}
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return summarize(outcomes, e.Dialers), nil
}

// reporter returns what a worker calls when a world is done.
func (e Experiment) reporter() func() {
	if e.Progress == nil {
		return func() {}
	}
	var mu sync.Mutex
	done := 0
	return func() {
		mu.Lock()
		defer mu.Unlock()
		done++
		if done%reportEvery == 0 || done == e.Worlds {
			e.Progress(done)
		}
	}
}

// reportEvery is how many worlds are done between two reports of progress.
const reportEvery = 100

// outcome is how all dialers fared in one world.
type outcome struct {
	world    string
	possible bool // to connect, for the oracle
	oracle   time.Duration
	patience time.Duration
	results  []Result
}

func (r *runner) outcome(w World, dialers []Dialer) outcome {
	o := outcome{world: w.Name, results: make([]Result, len(dialers))}
	o.oracle, o.possible = w.Oracle()
	o.patience = w.patience()
	for i, d := range dialers {
		o.results[i] = r.run(&w, d)
	}
	return o
}
