package sched

import (
	"fmt"
	"testing"
)

// invariants hold in every race, whatever the world does.
var invariants = []struct {
	sentence string
	check    func(*account) error
}{
	{"no two attempts start within 10 ms of each other, except all at once; a backup keeps that in every strategy", startsKeepTheFloor},
	{"a start leaves every live attempt its delay, a sequential one its whole time, and a backup only further backups", startsLeaveTime},
	{"a family that races another one has one attempt at a time, and the second family waits for its turn", familiesTakeTheirLanes},
	{"an attempt has the delay of its strategy, and says where that comes from", delaysAreTrue},
	{"nothing starts before the gate opens, and the first attempt starts with it", firstStartIsAtTheGate},
	{"the first in ranked order that has not been tried starts next", startsFollowTheRanking},
	{"no endpoint is dialled twice for one protocol, but by its one backup", endpointsAreDialledOnce},
	{"what is skipped or withdrawn never starts", onlyWhatMayBeTriedStarts},
	{"a backup is for a first attempt that is silent, and starts when its time has come and nothing else waits", backupsHaveACause},
	{"a trigger tells the truth", triggersAreTrue},
	{"what was deferred and is admitted starts as soon as the floor allows it, the earlier one first, and nothing else does", theAdmittedStart},
	{"attempts in flight never exceed MaxInFlight", theCapHolds},
	{"a stage that is done is followed by one Proceed, as soon as that may be", stagesProceed},
	{"a live attempt is given up only at its timeout or when the race is over", timersOnlyAdd},
	{"every attempt has an outcome by Finish", triesEnd},
	{"every candidate has exactly one Settle, and it is true", outcomesAreTrue},
	{"Settles come in ranked order with its reasons, the others last", settlesFollowTheRanking},
	{"Finish comes once and last, Settles only with it", finishIsLast},
	{"the race is over by Timeout, but for what the network takes to confirm", theTimeoutHolds},
	{"there is one winner if the race was won, and none otherwise", wonMeansOneWinner},
	{"the winner is the earliest connection, and known at once", theEarliestWins},
	{"after the end nothing starts and nothing is asked", nothingBeginsAfterTheEnd},
	{"losers may finish until the grace is over, and are given up then", losersHaveTheirGrace},
	{"the race ends when there is a reason, and for that reason", theEndIsTrue},
	{"each question is asked once, as soon as it may be", questionsAreAskedOnce},
	{"Next is later than now, and exactly when something is due", nextIsDue},
}

func checkInvariants(t testing.TB, name string, h *history) {
	t.Helper()
	a := accountOf(h)
	for _, inv := range invariants {
		if err := inv.check(a); err != nil {
			t.Fatalf("%s: %s: %v\n%s", name, inv.sentence, err, h.text())
		}
	}
}

func theCapHolds(a *account) error {
	for n, s := range a.steps {
		if count := a.inFlight(n); a.cfg.MaxInFlight > 0 && count > a.cfg.MaxInFlight {
			return fmt.Errorf("%d in flight at %v", count, s.now)
		}
	}
	return nil
}
