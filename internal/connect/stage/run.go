package stage

import (
	"context"
	"net"
	"time"

	"github.com/connrace/connrace/racer/sched"
)

// Run does what c says over conn, which it owns, and returns when that is done, when it
// has failed, or soon after ctx. now is the time since the race began.
//
// ok says that all went well. Then result is an open connection: if c is Usable it is
// conn itself or TLS over it (a *tls.Conn); if not it is conn, good for nothing but to
// be closed. Otherwise conn is closed, and failure says why, or is the zero value when
// ctx was the reason. stages are those that were begun; nil: c has none.
func (c *Criterion) Run(ctx context.Context, peer Peer, conn net.Conn, now func() time.Duration) (result net.Conn, stages *sched.Stages, failure sched.Failure, ok bool) {
	if c.TLS == nil && c.Usable() {
		return conn, nil, sched.Failure{}, true
	}
	r := &run{Criterion: c, peer: peer, conn: conn, now: now, stages: &sched.Stages{}}
	closed := make(chan struct{})
	keep := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = conn.Close() // whatever waits for the peer does so no longer
	})
	defer func() { // also when something panics
		if !keep() {
			<-closed
		}
		if ctx.Err() != nil {
			result, failure, ok = nil, sched.Failure{}, false
		}
		if failure.Type != "" {
			stages.Phases[len(stages.Phases)-1].Failed = true
		}
		if !ok {
			_ = conn.Close()
		}
	}()
	if failed := r.all(ctx); failed != nil {
		return nil, r.stages, *failed, false
	}
	if !c.Usable() {
		return conn, r.stages, sched.Failure{}, true
	}
	return r.conn, r.stages, sched.Failure{}, true
}

// run is one attempt at a criterion.
type run struct {
	*Criterion

	peer   Peer
	conn   net.Conn // as it was given, and then TLS over it
	now    func() time.Duration
	stages *sched.Stages
}

// all goes through the stages. It returns what failed, or nil.
func (r *run) all(ctx context.Context) *sched.Failure {
	if r.TLS != nil {
		if failed := r.phase(sched.PhaseTLS, func() (time.Duration, *sched.Failure) { return r.handshake(ctx) }); failed != nil {
			return failed
		}
	}
	switch {
	case r.HTTP != nil:
		return r.phase(sched.PhaseHTTP, r.request)
	case r.Health != nil:
		return r.phase(sched.PhaseHealth, func() (time.Duration, *sched.Failure) { return r.check(ctx) })
	case r.FirstByte:
		return r.phase(sched.PhaseFirstByte, r.firstByte)
	default:
		return nil
	}
}

// phase records a stage; do returns when it was done or had failed.
func (r *run) phase(kind sched.PhaseKind, do func() (done time.Duration, failed *sched.Failure)) *sched.Failure {
	start := r.now()
	r.peer.Progress.tell(r.stages, sched.Phase{Kind: kind, Start: start, Duration: underWay})
	done, failed := do()
	r.stages.Phases = append(r.stages.Phases, sched.Phase{Kind: kind, Start: start, Duration: done - start})
	r.peer.Progress.tell(r.stages)
	return failed
}

// firstByte reads one.
func (r *run) firstByte() (time.Duration, *sched.Failure) {
	_, err := r.conn.Read(make([]byte, 1))
	done := r.now()
	if err != nil {
		return done, broken(err, "before it sent a byte", "a protocol in which the client speaks first needs another criterion")
	}
	return done, nil
}
