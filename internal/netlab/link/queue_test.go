package link

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The heap against a list that is sorted: the order of due times, and that of
// arrival among the same ones.
func TestQueue(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		var q queue
		var list []waiting
		for turn := range uint64(300) {
			if random.IntN(3) == 0 && len(list) > 0 {
				first := q.first()
				if first.due != list[0].due || first.turn != list[0].turn || !bytes.Equal(first.frame, list[0].frame) {
					t.Fatalf("seed %d: %+v comes first, want %+v", seed, *first, list[0])
				}
				q.pop()
				list = list[1:]
				continue
			}
			raw := bytes.Repeat([]byte{byte(turn)}, random.IntN(2*bufferSize))
			w := waiting{time.Duration(random.IntN(20)), q.turns, bytes.Clone(raw), unlogged}
			q.push(w.due, raw, w.place)
			raw = append(raw[:0], "the caller's again"...)
			_ = raw
			at, _ := slices.BinarySearchFunc(list, w, func(a, b waiting) int {
				if a.due <= b.due {
					return -1
				}
				return 1
			})
			list = slices.Insert(list, at, w)
		}
		if total := sizes(list); q.bytes != total {
			t.Fatalf("seed %d: %d bytes, want %d", seed, q.bytes, total)
		}
	}
}

func sizes(list []waiting) (total int) {
	for _, w := range list {
		total += len(w.frame)
	}
	return total
}

func TestPoolIsBounded(t *testing.T) {
	var p pool
	for range maxPooled + 10 {
		p.put(make([]byte, 0, bufferSize))
	}
	p.put(make([]byte, 0, maxWaiting/1000))
	if len(p) != maxPooled {
		t.Errorf("%d buffers are kept", len(p))
	}
}
