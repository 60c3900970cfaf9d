package admit

// linked is what a list holds: it knows its neighbours.
type linked[T any] interface {
	comparable
	links() *links[T]
}

// links are what stands next to an item in its list.
type links[T any] struct{ next, prev T }

// list is a linked list whose items can be removed from the middle.
type list[T linked[T]] struct{ first, last T }

func (l *list[T]) add(x T) {
	var none T
	x.links().prev = l.last
	if l.last == none {
		l.first = x
	} else {
		l.last.links().next = x
	}
	l.last = x
}

func (l *list[T]) remove(x T) {
	var none T
	at := x.links()
	if at.prev == none {
		l.first = at.next
	} else {
		at.prev.links().next = at.next
	}
	if at.next == none {
		l.last = at.prev
	} else {
		at.next.links().prev = at.prev
	}
	*at = links[T]{}
}
