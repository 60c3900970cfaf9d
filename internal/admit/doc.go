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
// that a budget of its own forbids is passed over, keeps its place in that order, and
// holds nobody back.
//
// Nobody is passed over for ever. Of the attempts of one caller that wait, the one
// that asked first is its eldest. When 4 of its caller have gone before it, and should
// have come after it, it keeps the turn its caller has then, whatever else the caller
// is granted. So when all its budgets but its caller's allow it, each other caller
// goes before it at most twice. If then it lacks a place or a token of its caller, the
// next one that comes is kept for it, and it starts when the others allow it again.
//
// What the eldest waits for is therefore, at most: 4 grants to its caller; with n other
// callers in line, 2n+1 times that its destination, its prefix and the room have
// something free for it; the next place and token of its caller; and once more that
// the others have something free. Then the next one of its caller is the eldest.
//
// What that costs is one place of the caller itself, while it is kept, and only where
// the caller and the destination or prefix are both crowded. Nobody else pays.
//
// A Room may be used from any goroutine. It starts none, but for the timer that
// goes off when the next token is due. One mutex guards it.
package admit
