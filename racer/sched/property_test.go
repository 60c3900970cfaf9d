package sched

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// randomWorlds is in how many worlds each property is tried. A world is the
// same each time; failures name its seed.
const randomWorlds = 6000

func eachWorld(check func(w *world)) {
	for seed := range uint64(randomWorlds) {
		w := randomWorld(seeded(seed))
		w.name = fmt.Sprintf("seed %d", seed)
		check(w)
	}
}

// TestInvariants looks at what every race must be.
func TestInvariants(t *testing.T) {
	eachWorld(func(w *world) { checkInvariants(t, w.name, w.run(t, new(Race))) })
}

// TestNextIsDerived: to ask for Next twice, and to call Step when nothing has
// happened and nothing is due, changes nothing.
func TestNextIsDerived(t *testing.T) {
	eachWorld(func(w *world) {
		nosy := w.engine(t, new(Race))
		nosy.nosy = true
		mustBeSame(t, w.name, nosy.run(), w.run(t, new(Race)))
	})
}

// TestResetForgets: a used race runs as a fresh one, also one that was given up
// in the middle.
func TestResetForgets(t *testing.T) {
	var used Race
	eachWorld(func(w *world) {
		mustBeSame(t, w.name, w.run(t, &used), w.run(t, new(Race)))
		if w.seed%2 == 0 {
			half := w.engine(t, &used)
			half.now = 100 * ms
			half.step()
		}
	})
}

func mustBeSame(t *testing.T, name string, got, want *history) {
	t.Helper()
	if got.lines() != want.lines() {
		t.Fatalf("%s:\n%s\nwant\n%s", name, got.text(), want.text())
	}
}

// TestRandomWorldsReachEverything: a property says little about what the worlds
// never come to.
func TestRandomWorldsReachEverything(t *testing.T) {
	const enough = 15
	counts := map[string]int{}
	var longest time.Duration
	eachWorld(func(w *world) {
		h := w.run(t, new(Race))
		for _, entry := range h.log() {
			count(counts, entry)
			longest = max(longest, entry.At)
		}
		countMeetings(counts, accountOf(h))
	})
	for kind, names := range map[string][]string{
		"event": eventNames[Resolved:], "action": actionNames[Query:], "trigger": triggerNames, "basis": basisNames[BasisConfigured:],
		"defer": deferNames[DeferDescriptors:], "cause": causeNames[CauseTimeout:], "outcome": outcomeNames, "skip": skipNames[SkipDenied:], "end": endNames[EndWon:],
	} {
		for _, name := range names {
			mustBeReached(t, counts, kind+" "+name, enough)
		}
	}
	for _, meeting := range slices.Concat(meetings, admissionMeetings) {
		mustBeReached(t, counts, meeting, enough)
	}
	t.Logf("the longest race takes %v", longest)
}

func mustBeReached(t *testing.T, counts map[string]int, what string, enough int) {
	t.Helper()
	if counts[what] < enough {
		t.Errorf("%s: %d times, want at least %d", what, counts[what], enough)
	}
}

func count(counts map[string]int, entry Entry) {
	if entry.Event.Kind != 0 {
		counts["event "+entry.Event.Kind.String()]++
		counts["defer "+entry.Event.Defer.String()]++
		return
	}
	a := entry.Action
	counts["action "+a.Kind.String()]++
	switch a.Kind {
	case Start:
		counts["trigger "+a.Trigger.String()]++
		counts["basis "+a.Basis.String()]++
	case Cancel:
		counts["cause "+a.Cause.String()]++
	case Settle:
		counts["outcome "+a.Outcome.String()]++
		counts["skip "+a.Skip.String()]++
	case Finish:
		counts["end "+a.End.String()]++
	}
}

// meetings are what must meet in a world for a property to be put to the test.
var meetings = []string{
	"a backup wins", "a backup connects late for a first attempt that does not", "a first attempt wins beside its backup",
	"a loser connects in the grace", "a loser is given up after the grace", "a loser times out in the grace", "a loser proceeds in the grace",
	"a stage is held", "a stage gives time", "a delay grows", "a follow-up question", "a last resort",
	"a hint is replaced", "a group overtakes", "a group changes after the start", "a change of groups hands an endpoint on", "an endpoint in two protocols",
	"the second family has waited", "the second family is all that is left", "a backup has waited for another attempt",
	"an answer withdraws what has begun", "a connection beats the clock", "a connection beats a stop",
	"a backup connects late for a first attempt that has connected", "a late address need not wait for a backup",
}

func countMeetings(counts map[string]int, a *account) {
	for i := range a.tries {
		f := &a.tries[i]
		for _, met := range []map[string]bool{a.meetingsOf(f), a.admissionMeetingsOf(f)} {
			for what, happened := range met {
				if happened {
					counts[what]++
				}
			}
		}
	}
	for id, q := range a.questions {
		if id >= len(a.cfg.Questions) && len(q.asked) > 0 {
			counts[map[bool]string{false: "a follow-up question", true: "a last resort"}[q.resort]]++
		}
	}
	for id := range a.found {
		if c := &a.found[id]; c.Hint != "" && len(c.attempts) == 0 && !c.now().listed && a.isReplaced(&c.Candidate) {
			counts["a hint is replaced"]++
		}
	}
}

// meetingsOf are those in which an attempt takes part.
func (a *account) meetingsOf(f *try) map[string]bool {
	backup := f.Trigger == TriggerBackup
	first := &a.tries[a.found[f.Candidate].attempts[0]]
	last, _ := a.sight(f.Candidate, a.last)
	begun, _ := a.sight(f.Candidate, f.asked)
	second := a.cfg.Strategy == FamilyFallback && f.Attempt > 0 && !backup && a.isFirstOfSecondFamily(f)
	won := a.outcome(f.Attempt) == OutcomeWon
	late := a.outcome(f.Attempt) == OutcomeConnectedLate
	inGrace := a.wonAt != never && f.ended > a.wonAt && f.asked <= a.wonAt && a.cfg.Grace > 0
	return map[string]bool{
		"a backup wins": backup && won,
		"a backup connects late for a first attempt that does not":      backup && late && first.outcome.Kind != Connected,
		"a first attempt wins beside its backup":                        !backup && won && len(a.found[f.Candidate].attempts) > 1,
		"a loser connects in the grace":                                 inGrace && late && f.givenUp == never,
		"a loser is given up after the grace":                           inGrace && f.cause == CauseLost && f.givenUp > a.wonAt,
		"a loser times out in the grace":                                inGrace && f.cause == CauseTimeout && f.givenUp > a.wonAt,
		"a loser proceeds in the grace":                                 inGrace && a.proceeded(f, a.wonAt),
		"a stage is held":                                               a.wasHeld(f),
		"a stage gives time":                                            f.Delay > 0 && a.granted(f, a.last) > f.start+f.Delay,
		"a delay grows":                                                 f.Basis != BasisNone && a.cfg.Multiplier > 1 && f.Delay > a.cfg.AttemptDelay,
		"a group overtakes":                                             a.overtakes(f),
		"a group changes after the start":                               !backup && last.group != begun.group,
		"a change of groups hands an endpoint on":                       !backup && a.inherits(f),
		"an endpoint in two protocols":                                  !backup && a.isAtTwoDoors(f),
		"the second family has waited":                                  second && f.Trigger == TriggerAttemptDelay,
		"the second family is all that is left":                         second && f.Trigger == TriggerFailure,
		"a backup has waited for another attempt":                       backup && f.Attempt > first.Attempt+1,
		"an answer withdraws what has begun":                            !backup && !last.listed,
		"a late address need not wait for a backup":                     a.passesBackup(f),
		"a connection beats the clock":                                  won && a.timedOut(f.ended),
		"a connection beats a stop":                                     won && a.stopped(f.ended),
		"a backup connects late for a first attempt that has connected": backup && late && a.outcome(first.Attempt) == OutcomeConnected,
	}
}

// passesBackup says that an attempt starts within the delay of a backup.
func (a *account) passesBackup(f *try) bool {
	return f.Trigger != TriggerBackup && slices.ContainsFunc(a.tries[:f.Attempt], func(other try) bool {
		return other.Trigger == TriggerBackup && other.runs(f.asked) && a.steps[f.asked].now < a.until(&other, f.asked)
	})
}

func (a *account) proceeded(f *try, after int) bool {
	return slices.ContainsFunc(f.stages, func(s stage) bool { return len(s.proceeds) > 0 && s.proceeds[0] > after })
}

func (a *account) wasHeld(f *try) bool {
	return slices.ContainsFunc(f.stages, func(s stage) bool { return len(s.proceeds) > 0 && s.proceeds[0] > s.told })
}

// overtakes says that an attempt is of a better group than one before it.
func (a *account) overtakes(f *try) bool {
	return slices.ContainsFunc(a.tries[:f.Attempt], func(other try) bool {
		return before(a.group(f.Candidate, f.asked), a.group(other.Candidate, f.asked))
	})
}

// inherits says that an attempt's candidate stands for its endpoint because the group
// of another one has become worse.
func (a *account) inherits(f *try) bool {
	mine := a.group(f.Candidate, f.asked)
	for id := range a.found {
		if id == f.Candidate || !a.mayTry(id, f.asked) || a.door(id, f.asked) != a.door(f.Candidate, f.asked) {
			continue
		}
		was, is := a.found[id].Group, a.group(id, f.asked)
		if was.Protocol == is.Protocol && !before(mine, was) && before(mine, is) {
			return true
		}
	}
	return false
}

func (a *account) isAtTwoDoors(f *try) bool {
	return slices.ContainsFunc(a.tries[:f.Attempt], func(other try) bool {
		here, there := a.door(f.Candidate, f.asked), a.door(other.Candidate, f.asked)
		return here.endpoint == there.endpoint && here != there
	})
}
