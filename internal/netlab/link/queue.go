package link

import "time"

// maxWaiting is how many bytes may be on their way to one side at once: a second
// of a fast link, and no danger to a small machine.
const maxWaiting = 128 << 20

// waiting is a frame on its way.
type waiting struct {
	due   time.Duration
	turn  uint64 // those due at the same time leave in the order they came
	frame []byte
	place int // in the journal
}

func (w *waiting) before(x *waiting) bool {
	return w.due < x.due || w.due == x.due && w.turn < x.turn
}

// queue is the frames on their way to one side, a binary heap: the first one to
// leave is at index 0. It owns its frames.
type queue struct {
	heap  []waiting
	turns uint64
	bytes int
	pool  pool
}

// full reports whether a frame of that many bytes has no room.
func (q *queue) full(size int) bool { return q.bytes+size > maxWaiting }

// push copies frame.
func (q *queue) push(due time.Duration, frame []byte, place int) {
	own := append(q.pool.get(len(frame)), frame...)
	q.heap = append(q.heap, waiting{due: due, turn: q.turns, frame: own, place: place})
	q.turns++
	q.bytes += len(frame)
	q.up(len(q.heap) - 1)
}

// first returns the frame that leaves next, or nil.
func (q *queue) first() *waiting {
	if len(q.heap) == 0 {
		return nil
	}
	return &q.heap[0]
}

// pop takes the first one out; its frame is no longer to be used.
func (q *queue) pop() {
	last := len(q.heap) - 1
	q.bytes -= len(q.heap[0].frame)
	q.pool.put(q.heap[0].frame)
	q.heap[0] = q.heap[last]
	q.heap[last] = waiting{}
	q.heap = q.heap[:last]
	q.down(0)
}

func (q *queue) up(i int) {
	for parent := (i - 1) / 2; i > 0 && q.heap[i].before(&q.heap[parent]); parent = (i - 1) / 2 {
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
}

func (q *queue) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(q.heap); child++ {
			if q.heap[child].before(&q.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}

const (
	bufferSize = 2048 // holds a frame of the usual 1514 bytes
	maxPooled  = 4096 // 8 MiB
)

// pool keeps buffers of usual size for the next frame.
type pool [][]byte

// get returns an empty buffer with room for size bytes.
func (p *pool) get(size int) []byte {
	if size > bufferSize {
		return make([]byte, 0, size)
	}
	last := len(*p) - 1
	if last < 0 {
		return make([]byte, 0, bufferSize)
	}
	b := (*p)[last]
	*p = (*p)[:last]
	return b
}

func (p *pool) put(b []byte) {
	if cap(b) == bufferSize && len(*p) < maxPooled {
		*p = append(*p, b[:0])
	}
}
