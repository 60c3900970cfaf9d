// Package admit is the one room for everything that spans races: how many attempts
// are in flight, how many start each second, at what pace one destination is dialed,
// and who waits for whom.
//
// A race enters, asks before each attempt, says when it is done with one, and
// leaves. What may not go yet waits in line, and is told when it may:
//
//	race, err := room.Enter(caller, granted) // *OverloadedError: come back later
//	defer race.Leave()
//	why, ok := race.Ask(0, to)               // not ok: granted(0) will be called
//	race.Done(0)
//
// An attempt needs a place in each of its budgets at the same time: the room's, its
// caller's, its destination's and its prefix's. It takes all of them or none, so
// that no attempt holds a place while it waits for another.
//
// Whose turn it is, among the attempts all of whose budgets allow it: callers take
// turns (who was granted something goes to the end), within a caller races take
// turns, within a race attempts go in the order in which they asked. An attempt
// that a budget of its own forbids is passed over and keeps its turn, and holds
// nobody back. So while an attempt's other budgets are free, each other caller goes
// before it at most once for each attempt of its own caller that does. What nothing
// here promises: an attempt that needs two crowded budgets with no place free in
// both at once waits on, because keeping one of them for it would hold others back.
// The race's own time limit ends that.
//
// A Room may be used from any goroutine. It starts none, but for the timer that
// goes off when the next token is due. One mutex guards it.
package admit
