package addrsel

import (
	"net/netip"
	"testing"
)

// destinationBytes is the length of one destination in fuzz input: kinds,
// prefix length, address, source.
const destinationBytes = 2 + 16 + 16

// FuzzRank checks arbitrary lists against the dumb alternative.
func FuzzRank(f *testing.F) {
	for _, names := range []string{"", "4x", "6a 6b 6c 4x 4y", "6a 6z 4u 4x 6u", "4z 6z 6v"} {
		data := []byte{0, 0, 1}
		for _, d := range named(names) {
			data = appendDestination(data, d)
		}
		f.Add(data)
	}
	var r Ranker
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 3 {
			return
		}
		cfg := Config{
			Policy:           somePolicies[int(data[0])%len(somePolicies)],
			PreferredFamily:  Family(data[1]),
			FirstFamilyCount: int(int8(data[2])),
		}
		var dests []Destination
		for data = data[3:]; len(data) >= destinationBytes && len(dests) < 40; data = data[destinationBytes:] {
			dests = append(dests, destinationFrom(data))
		}
		checkProperties(t, dests, cfg, r.Rank(dests, cfg))
	})
}

func destinationFrom(data []byte) Destination {
	return Destination{
		Addr:       addrFrom(data[0], data[2:18]),
		Source:     addrFrom(data[0]>>4, data[18:34]),
		SourceBits: int(int8(data[1])),
	}
}

func addrFrom(kind byte, data []byte) netip.Addr {
	switch kind & 7 {
	case 0:
		return netip.Addr{}
	case 1, 2:
		return netip.AddrFrom4([4]byte(data))
	case 3:
		return netip.AddrFrom16([16]byte(data)).WithZone("eth0")
	}
	return netip.AddrFrom16([16]byte(data)) // maybe IPv4-mapped
}

func appendDestination(data []byte, d Destination) []byte {
	addr, source := d.Addr.As16(), d.Source.As16()
	kinds := byte(4)
	if d.Source.IsValid() {
		kinds |= 4 << 4
	}
	data = append(data, kinds, byte(d.SourceBits))
	data = append(data, addr[:]...)
	return append(data, source[:]...)
}
