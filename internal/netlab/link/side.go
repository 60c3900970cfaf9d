package link

import "fmt"

// Side is one of the two ends of the link. As text it is "client" or "server".
type Side uint8

// The two sides.
const (
	Client Side = iota // where connections come from
	Server             // where they go to
)

var sideNames = [...]string{Client: "client", Server: "server"}

// String returns "client" or "server".
func (s Side) String() string { return sideNames[s] }

// MarshalText implements [encoding.TextMarshaler].
func (s Side) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Side) UnmarshalText(text []byte) error {
	for side, name := range sideNames {
		if name == string(text) {
			*s = Side(side)
			return nil
		}
	}
	return fmt.Errorf("%q is no side of a link; it must be client or server", text)
}

// peer is the other side.
func (s Side) peer() Side { return 1 - s }
