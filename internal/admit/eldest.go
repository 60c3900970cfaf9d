package admit

import "time"

// A caller's eldest is the one of its attempts in line that asked first. Everybody who
// waits becomes it in the end, because those before it are served or leave. There are
// two ways in which it could be passed over for ever, and a rule against each.
//
// Its caller is granted other attempts elsewhere, goes to the end each time, and so
// never has its turn where the eldest waits. So an eldest that was passed over often
// enough keeps the turn of its caller: it waits in a line below the room, by
// destination and prefix, and its caller's budget comes last.
//
// Its caller has something free only while the destination or the prefix has not, and
// the other way round. (No other two budgets can do that: who needs a destination
// needs its prefix and the room too, and a caller's attempts all need the room. So
// what is free in the narrower one stays free until the wider one has something too,
// and then the turns decide.)
// So when the turn of the eldest has come, and all it lacks is a place or a token of
// its caller, the next one is kept for it. The caller's other attempts have the rest.
//
// Nobody can wait for each other in a circle: something is kept at callers only, for
// one attempt of that caller, and what this waits for is kept for nobody. Attempts in
// flight hold it, and end by themselves; and tokens come with time.
//
// It is the caller's place that is kept, and not the destination's, so that it costs
// other callers nothing.

// patience is how many attempts of its caller may go before the eldest, though they
// asked later and their turn comes later, until it keeps its turn. With more it waits
// longer. With fewer its caller has more turns than others have: one more for every
// patience of them.
const patience = 4

// pass counts an attempt that is granted while others of its caller wait.
func (r *Room) pass(a *attempt) {
	c := a.race.caller
	e := c.queue.first
	behind := a.why == 0 || e.key.number < a.key.number && e.key.before(a.key)
	if !behind || c.passed == patience {
		return
	}
	c.passed++
	if c.passed == patience {
		r.keepTurn(e)
	}
}

// keepTurn moves the eldest of a caller that is about to go to the end into a line of
// its own.
func (r *Room) keepTurn(e *attempt) {
	c := e.race.caller
	r.quit(e)
	e.leaf.key, e.leaf.gate = c.line.key, &c.forEldest
	r.join(e)
}

// keepsTurn says whether an attempt is an eldest that keeps its turn.
func (a *attempt) keepsTurn() bool { return a.leaf.gate != nil }

// keepPlace is for an eldest whose turn has come, and whose caller has nothing free.
func (a *attempt) keepPlace() { a.race.caller.budget.kept = 1 }

// succeed takes an attempt off the list of its caller. If it was the eldest, the next
// one is, and what was kept is for everybody again.
func (r *Room) succeed(a *attempt, now time.Duration) {
	c := a.race.caller
	if a == c.queue.first {
		c.passed = 0
	}
	c.queue.remove(a)
	if a.keepsTurn() && c.budget.kept == 1 {
		c.budget.kept = 0
		r.unschedule(&c.budget.gate) // the next token is for those who wait there after all
		r.open(&c.budget.gate, now)
	}
}

func (a *attempt) links() *links[*attempt] { return &a.neighbours }
