// Package racer answers, for Go programs and without any daemon: of all the
// addresses behind this name, which one do I use, and why?
//
//	r := racer.New(racer.Config{})
//	defer r.Close()
//	result, err := r.Race(ctx, racer.RaceRequest{Target: racer.Target{Name: "example.com:443"}})
//	if err != nil { ... } // the request was wrong, or ctx was cancelled
//	fmt.Println(result.Winner, result.Candidates)
//
// ResolveAndRank tells the order and connects to nothing; Race connects until
// one succeeds; Dial does the same and hands over the connection; Probe connects
// to every address.
//
// A target nobody can connect to is a result with reasons, not an error: the
// error would lose the timings.
//
// # Contract
//
// A Racer is safe for concurrent use. Between calls it keeps a bounded number of
// sockets without a connection, for its next races; Close lets them go. Each call
// runs in the caller's goroutine, which owns the race, and has closed every
// connection and ended every goroutine it started when it returns; only the
// connection Dial hands over lives on. When ctx has a deadline, the result is
// returned at that moment with what is known by then. When ctx is cancelled, the
// call returns the cause of that; but a race that is won and in its grace
// (Options.Grace) ends as at a deadline.
//
// All offsets count from Run.Start, by a monotonic clock.
package racer
