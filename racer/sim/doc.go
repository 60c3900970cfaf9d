// Package sim lets whole dialers connect in simulated worlds, in virtual time, and
// compares them: how long it takes them, and what it costs.
//
//	rows, err := sim.Experiment{
//		Worlds:  10_000,
//		World:   sim.Random(1, sim.Mixed),
//		Dialers: sim.Strategies(),
//	}.Run(ctx)
//	err = sim.WriteCSV(f, rows)
//
// A [World] is plain values: a client host, the answers of DNS, and backends with
// their round trips, luck and state. It is written by hand, drawn from a seed
// ([Random]) or read from the file of a lab ([FromLab]). A [Dialer] is a program
// that connects, as a model on a [Host]. [Racing] makes one of this project's
// scheduler, which runs here as it does in the racer; [Race] returns its transcript.
// A [Crowd] is many clients that share the backends.
//
// # Luck
//
// What happens to the n-th SYN to a backend is a pure function of the world's seed,
// the backend and n. So all dialers meet the same luck in the same world, and the
// difference between two of them is theirs. The same worlds and dialers give the
// same rows, on any machine.
//
// # What it can say
//
// When each SYN leaves, when which connection stands and what else it took, to the
// nanosecond, by the rules of the dialer and of TCP: a SYN that is lost is repeated
// by the kernel ([Kernel]), a refusal and an ICMP error end the attempt, and a
// blackhole is silent. How dialers compare over many worlds, the rare ones included,
// which no measurement meets often enough.
//
// # What it cannot say
//
//   - How often the world is like that. The kinds of [Generate] are drawn from
//     published figures where there are any, and from our own choice where there
//     are none. Compare rows of one kind; a sum over kinds means nothing.
//   - Anything after the TCP handshake: TLS, HTTP, QUIC. A backend that accepts and
//     then hangs is up.
//   - What a machine costs: a SYN leaves the moment a dialer wants it to, and all
//     that has happened is known at once. No descriptor and no port runs out.
//   - Networks that change while a dialer works, that treat the second SYN
//     otherwise than the first, or lose packets in bursts.
//   - What a server under load does. [Backend.Slowdown] is a straight line; a kernel
//     answers a SYN at once however busy its programs are, so in truth a race that
//     is decided by TCP sees a load balancer's or a network's queue and hardly ever
//     a program's.
//
// # Contract
//
// A run is one goroutine: the callbacks of a [Host] come one after the other, at one
// instant in the order in which they were scheduled. A model that breaks the rules
// of Host panics. Everything else may be used from several goroutines; a World that
// is in use must not be changed.
package sim
