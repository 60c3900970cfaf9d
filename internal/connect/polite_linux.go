package connect

import "golang.org/x/sys/unix"

// finish closes a socket that is connected, with a FIN.
func (p *poller) finish(i int) {
	p.gate.shut() // it makes an event
	finish(p.sockets[i].fd)
	_ = unix.Close(p.sockets[i].fd)
	p.vacate(i)
}
