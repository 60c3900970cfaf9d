package netlab

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// mail is an answer on its way out.
type mail struct {
	due    time.Time
	packet []byte
	to     netip.AddrPort // means nothing on a connection
}

// outbox sends the answers of one socket in the order in which they become due;
// those due at the same time leave in the order they came.
type outbox struct {
	send    func(mail) error
	in      chan mail
	stopped chan struct{}
	stop    func() // sends nothing any more
}

// newOutbox returns an outbox that works while run runs.
func newOutbox(send func(mail) error) *outbox {
	stopped := make(chan struct{})
	return &outbox{
		send:    send,
		in:      make(chan mail),
		stopped: stopped,
		stop:    sync.OnceFunc(func() { close(stopped) }),
	}
}

// put hands m over. It waits while an earlier one is being sent, and returns
// false when the outbox is stopped.
func (o *outbox) put(m mail) bool {
	select {
	case o.in <- m:
		return true
	case <-o.stopped:
		return false
	}
}

// finish says that there will be no more: run sends what it has, and returns.
func (o *outbox) finish() { close(o.in) }

// run returns when the outbox is stopped, finished and empty, or can't send.
func (o *outbox) run() {
	defer o.stop()
	var waiting []mail // by due
	timer := time.NewTimer(0)
	defer timer.Stop()
	in := o.in
	for in != nil || len(waiting) > 0 {
		select {
		case <-o.stopped:
			return
		case <-timer.C:
		case m, more := <-in:
			if more {
				waiting = insert(waiting, m)
			} else {
				in = nil
			}
		}
		var err error
		if waiting, err = o.sendDue(waiting); err != nil {
			return
		}
		if len(waiting) > 0 {
			timer.Reset(time.Until(waiting[0].due))
		}
	}
}

// insert keeps waiting in order.
func insert(waiting []mail, m mail) []mail {
	at, _ := slices.BinarySearchFunc(waiting, m, func(w, m mail) int {
		if w.due.After(m.due) {
			return 1
		}
		return -1 // equal ones go behind
	})
	return slices.Insert(waiting, at, m)
}

// sendDue sends what is due and returns the rest.
func (o *outbox) sendDue(waiting []mail) ([]mail, error) {
	due := 0
	for _, m := range waiting {
		if time.Now().Before(m.due) {
			break
		}
		if err := o.send(m); err != nil {
			return nil, err
		}
		due++
	}
	return slices.Delete(waiting, 0, due), nil
}
