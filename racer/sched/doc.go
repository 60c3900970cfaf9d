// Package sched decides when a connection race asks, starts, cancels and ends.
//
// It is the whole algorithm of RFC 8305 section 5 and nothing else: events go
// in, actions come out. It opens no socket, reads no clock and starts no
// goroutine, so the same code runs the daemon, a simulation and a test that
// replays a bug report.
//
//	var r sched.Race
//	r.Reset(cfg)
//	for actions := r.Step(0, given, nil); ; { // given: Resolved with what is known already
//		... carry the actions out; wait until r.Next() or something happens ...
//		actions = r.Step(now, events, actions[:0])
//	}
//
// # Time
//
// Every time is a duration since the race began. Timers arm from Started, the
// moment the SYN left, never from the request to start. Meanwhile an attempt that
// is deferred has its attempt delay, and only that, from Deferred: it holds its turn,
// and the race does not stand still.
//
// # Contract
//
//   - A Race belongs to one goroutine.
//   - Everything one wake-up brought is given to one Step, so that "the earliest
//     connection wins" is decided here and not by the order of a loop.
//   - Every Start and every Cancel is answered: a started attempt reports
//     exactly one of Connected, Failed and Cancelled. An outcome that crosses
//     the Cancel of its attempt is normal.
//   - A Start may be answered by Deferred: "not yet, and why". Then come Admitted,
//     which keeps a place, and after the Proceed that answers it Started; or
//     Cancelled, if the race is over before that.
//   - Every candidate gets exactly one Settle, then comes Finish, once and last.
//   - An id the race does not know, a second outcome or a Step after Finish is a
//     programmer's error and panics: only an engine feeds the race, and the
//     outside world cannot make it do any of these.
//   - A timer adds an attempt, it never cancels one. Nothing in flight is given
//     up to make room for something else.
package sched
