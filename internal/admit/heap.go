package admit

// item is what a heap holds: it knows its order, and where it stands.
type item[T any] interface {
	before(other T) bool
	index() *int
}

// heap is a binary heap whose items can be removed from the middle.
type heap[T item[T]] []T

func (h *heap[T]) push(x T) {
	*h = append(*h, x)
	last := len(*h) - 1
	*x.index() = last
	h.up(last)
}

func (h *heap[T]) remove(x T) {
	at, last := *x.index(), len(*h)-1
	h.swap(at, last)
	clear((*h)[last:])
	*h = (*h)[:last]
	if at < last {
		h.fix(at)
	}
}

// fix restores the order when the item at i has changed its place in it.
func (h heap[T]) fix(i int) {
	h.up(h.down(i))
}

func (h heap[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h[i].before(h[parent]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h heap[T]) down(i int) int {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].before(h[least]) {
				least = child
			}
		}
		if least == i {
			return i
		}
		h.swap(i, least)
		i = least
	}
}

func (h heap[T]) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].index(), *h[j].index() = i, j
}

// pool keeps what was used for the next use. It is bounded, and its items come back
// as they were put in.
type pool[T any] []*T

// pooled bounds each pool.
const pooled = 4096

func (p *pool[T]) get() *T {
	last := len(*p) - 1
	if last < 0 {
		return new(T)
	}
	x := (*p)[last]
	(*p)[last] = nil
	*p = (*p)[:last]
	return x
}

func (p *pool[T]) put(x *T) {
	if len(*p) < pooled {
		*p = append(*p, x)
	}
}
