package sim

import "time"

const ms = time.Millisecond

// plain is a world whose DNS brings the addresses of the backends at once, in their
// order, and whose client has both families.
func plain(backends ...Backend) World {
	w := World{Client: clientNetworks, Backends: backends}
	for _, b := range backends {
		if b.Addr.Is4() {
			w.A.Addrs = append(w.A.Addrs, b.Addr)
		} else {
			w.AAAA.Addrs = append(w.AAAA.Addrs, b.Addr)
		}
	}
	return w
}

// v4 and v6 give a backend the address with a number.
func v4(number int, b Backend) Backend { b.Addr = address4(number); return b }

func v6(number int, b Backend) Backend { b.Addr = address6(number); return b }

// up is a backend that accepts.
func up(rtt time.Duration) Backend { return Backend{RTT: rtt} }

// first connects to the first address of A and hands over what comes of it.
var first = Dialer{Name: "first", Dial: func(h *Host) {
	h.Lookup(1, func(a Answer) {
		if len(a.Addrs) == 0 {
			h.Failed()
			return
		}
		var s *Socket
		s = h.Connect(a.Addrs[0], func(err error) {
			if err != nil {
				h.Failed()
				return
			}
			h.Won(s)
		})
	})
}}
