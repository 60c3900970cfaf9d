package sim

// ending is how a peer's run ends, once: what else happens at the same instant
// comes too late. The host closes what is still pending then.
type ending struct {
	host *Host
	over bool
}

func (e *ending) won(s *Socket) {
	if !e.over {
		e.over = true
		e.host.Won(s)
	}
}

func (e *ending) failed() {
	if !e.over {
		e.over = true
		e.host.Failed()
	}
}
