package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// What is due at one instant comes in the order of the classes, and within one in
// the order of scheduling, also what an event of the instant adds.
func TestOneInstant(t *testing.T) {
	var (
		c     clock
		h     Host
		order []string
	)
	at := func(d time.Duration, k class, name string) {
		c.schedule(d, k, &h).f = func() { order = append(order, name) }
	}
	at(2, news, "later")
	at(1, end, "end")
	at(1, reply, "reply")
	c.schedule(1, news, &h).f = func() {
		order = append(order, "first")
		at(1, news, "third")
		at(0, reply, "a reply to the past") // is not before now
	}
	at(1, news, "second")
	for c.advance() {
	}
	want := []string{"first", "second", "third", "reply", "a reply to the past", "end", "later"}
	if !slices.Equal(order, want) {
		t.Errorf("order is %q, want %q", order, want)
	}
}

// The queue does what a stable sort does.
func TestQueueIsASort(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			type item struct {
				at    time.Duration
				class class
				id    int
			}
			var (
				c         clock
				h         Host
				got, want []item
			)
			for id := range r.IntN(60) {
				i := item{time.Duration(r.IntN(10)), class(r.IntN(3)), id}
				timer := c.schedule(i.at, i.class, &h)
				timer.f = func() { got = append(got, i) }
				if r.IntN(5) == 0 {
					timer.Stop()
					continue
				}
				want = append(want, i)
			}
			slices.SortStableFunc(want, func(a, b item) int {
				return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.class, b.class))
			})
			for c.advance() {
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %v\nwant %v", got, want)
			}
		})
	}
}

// Nothing happens to a host whose run is over, and a timer that has fired can be
// stopped without harm.
func TestTimers(t *testing.T) {
	var log []string
	result := Run(plain(), Dialer{Dial: func(h *Host) {
		say := func(words string) func() {
			return func() { log = append(log, fmt.Sprint(h.Now(), " ", words)) }
		}
		once := h.After(time.Second, say("once"))
		h.After(2*time.Second, func() {
			once.Stop()
			h.Failed()
			h.After(0, say("the same instant"))
		})
		h.After(time.Second, say("stopped")).Stop()
		h.After(3*time.Second, say("too late"))
	}})
	if want := []string{"1s once", "2s the same instant"}; !slices.Equal(log, want) {
		t.Errorf("it went %q, want %q", log, want)
	}
	if want := (Result{Time: 2 * time.Second, Backend: nobody}); result != want {
		t.Errorf("result is %+v, want %+v", result, want)
	}
}

// A slab's values are zero, however often it is used.
func TestSlab(t *testing.T) {
	var s slab[int]
	for range 3 {
		seen := make(map[*int]bool)
		for range 3*chunk + 1 {
			p := s.next()
			if *p != 0 || seen[p] {
				t.Fatalf("value is %d, seen before: %v", *p, seen[p])
			}
			*p, seen[p] = 1, true
		}
		s.reset()
	}
}
