package sim

import (
	"testing"

	"github.com/connrace/connrace/racer/sched"
)

// A whole race in a world with six addresses, one of which is silent.
func BenchmarkSimulatedRace(b *testing.B) {
	w := plain(v6(1, Backend{State: Silent}), v6(2, up(20*ms)), v6(3, up(20*ms)), v4(1, up(20*ms)), v4(2, up(20*ms)), v4(3, up(20*ms)))
	for _, s := range []sched.Strategy{sched.Staggered, sched.AllAtOnce} {
		b.Run(s.String(), func(b *testing.B) {
			var r runner
			d := Racing("", Defaults(s))
			b.ReportAllocs()
			for b.Loop() {
				r.run(&w, d)
			}
		})
	}
}

// A world and all of our strategies in it.
func BenchmarkWorld(b *testing.B) {
	var r runner
	world, dialers := Random(1, Mixed), Strategies()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.outcome(world(i), dialers)
	}
}
