package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

// steering would clear a screen, go back in a line and turn its direction.
const steering = "\x1b[2J\r\u202e\u009b\x00"

// Whatever stands in the texts of a reply, of which many come from peers, nothing of it
// steers a terminal.
func TestNothingSteersTheTerminal(t *testing.T) {
	t.Parallel()
	for _, kind := range []protoreflect.EnumNumber{1, 2, 3, 4, 5, 6, 7} {
		shows(t, new(pb.RaceResponse), kind, printRace)
		shows(t, new(pb.ResolveAndRankResponse), kind, printRank)
		shows(t, new(pb.ProbeResponse), kind, printProbe)
		shows(t, new(pb.WatchProbeResponse), kind, printWatchRound)
	}
}

func shows[M proto.Message](t *testing.T, m M, kind protoreflect.EnumNumber, printReply func(io.Writer, M, string, style)) {
	t.Helper()
	poison(m.ProtoReflect(), kind, 0)
	var b bytes.Buffer
	printReply(&b, m, "https://site.example/"+steering, style{width: 100})
	if b.Len() == 0 {
		t.Errorf("nothing is printed of %T", m)
	}
	for _, c := range "\x1b\r\u202e\u009b\x00" {
		if line := lineWith(b.String(), c); line != "" {
			t.Errorf("%T with enums of %d: %q gets through: %q", m, kind, c, line)
		}
	}
}

func lineWith(text string, c rune) string {
	for line := range strings.Lines(text) {
		if strings.ContainsRune(line, c) {
			return line
		}
	}
	return ""
}

// own are fields that the daemon makes itself: of addresses, and of names in the contract.
var own = []protoreflect.Name{
	"endpoint", "endpoints", "address", "addresses", "local_endpoint", "source_address", "sender_address", "bind_addresses", "field",
}

// poison sets every field of a message and of the messages in it. Of a oneof the field
// counts that kind points to.
func poison(m protoreflect.Message, kind protoreflect.EnumNumber, depth int) {
	const deepest = 12 // no message is in itself; this is for the day one is
	if depth > deepest {
		return
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() && o.Fields().Get(int(kind)%o.Fields().Len()) != f {
			continue
		}
		switch {
		case f.IsList():
			list := m.Mutable(f).List()
			for range 2 {
				if f.Message() != nil {
					element := list.NewElement()
					poison(element.Message(), kind, depth+1)
					list.Append(element)
				} else {
					list.Append(scalar(f, kind))
				}
			}
		case f.Message() != nil:
			poison(m.Mutable(f).Message(), kind, depth+1)
		default:
			m.Set(f, scalar(f, kind))
		}
	}
}

func scalar(f protoreflect.FieldDescriptor, kind protoreflect.EnumNumber) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		if slices.Contains(own, f.Name()) {
			return protoreflect.ValueOfString("192.0.2.1:80")
		}
		return protoreflect.ValueOfString("x" + steering)
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(kind)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(1)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(1)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(1)
	default:
		return protoreflect.ValueOfInt32(1)
	}
}
