package admit

// witness holds what a room grants against the promise to those who wait. In words: an
// attempt is the eldest of its caller, and patience attempts of its caller have gone
// before it, though they asked later and have a later turn. From then on
//
//   - no other of its caller goes before it while it could start itself;
//   - of each other caller two go before it, and more only while a place or a token of
//     its own caller is all it lacks;
//   - when one more has, no other of its caller takes the last place or token.
//
// It counts by itself, and asks the dumb room only who waits, and what for.
type witness struct {
	fatalf func(format string, args ...any)
	room   *dumbRoom
	passed map[*dumbAttempt]int            // by attempts of its caller
	ahead  map[*dumbAttempt]map[string]int // of each caller, when all that it may lack was its own
	missed map[*dumbAttempt]bool           // one more went
}

func newWitness(room *dumbRoom, fatalf func(format string, args ...any)) *witness {
	w := &witness{
		fatalf: fatalf, room: room, passed: map[*dumbAttempt]int{},
		ahead: map[*dumbAttempt]map[string]int{}, missed: map[*dumbAttempt]bool{},
	}
	room.onTake = w.onTake
	return w
}

// onTake sees b before it takes its places.
func (w *witness) onTake(b *dumbAttempt) {
	for caller := range w.room.callerTurn {
		switch a := w.room.eldest(caller); {
		case a == nil || a == b:
		case w.passed[a] < patience:
			if caller == b.caller && (b.number == 0 || b.number > a.number && b.turn >= a.turn) {
				w.passed[a]++
			}
		case caller == b.caller:
			w.ofOwn(a, b)
		default:
			w.ofOther(a, b)
		}
	}
}

func (w *witness) ofOwn(a, b *dumbAttempt) {
	if len(w.room.lacks(a)) == 0 {
		w.fatalf("%+v goes before %+v of its caller, which could start", b, a)
	}
	if w.missed[a] && !w.room.hasTwo(b) {
		w.fatalf("%+v takes what is to be kept for %+v", b, a)
	}
}

func (w *witness) ofOther(a, b *dumbAttempt) {
	could, itsOwn := len(w.room.lacks(a)) == 0, w.room.lacksItsCaller(a)
	if !could && !itsOwn {
		return
	}
	if w.ahead[a] == nil {
		w.ahead[a] = map[string]int{}
	}
	w.ahead[a][b.caller]++
	if w.ahead[a][b.caller] <= 2 {
		return
	}
	if could {
		w.fatalf("%+v is one more of its caller that goes before %+v, which could start", b, a)
	}
	w.missed[a] = true
}

// hasTwo says whether the caller of a has two places and two tokens.
func (d *dumbRoom) hasTwo(a *dumbAttempt) bool {
	held := d.count(func(b *dumbAttempt) bool { return b.held && b.caller == a.caller })
	l := d.limits
	return (l.CallerInFlight == 0 || held+2 <= l.CallerInFlight) &&
		(l.CallerPerSecond == 0 || d.bucketsOf(a)[1].level >= 2000)
}
