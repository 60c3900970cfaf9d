package netlab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// Malformed is a way to spoil a reply. "" leaves it well-formed. Those that spoil
// a record take the first one of the type that was asked for: what comes before
// it, the aliases, stays readable.
type Malformed string

// The kinds. The last four need an answer with records.
const (
	// MalformedNoise is a message of the right length, ID and response bit; all
	// the rest is noise, always the same.
	MalformedNoise Malformed = "noise"

	// MalformedID has another ID: all its bits are flipped.
	MalformedID Malformed = "wrong-id"

	// MalformedQuestion answers another question, whose name differs in its first
	// letter; the root has none, there it is the type.
	MalformedQuestion Malformed = "wrong-question"

	// MalformedCounts promises 65535 answer records.
	MalformedCounts Malformed = "wrong-counts"

	// MalformedCut ends in the middle of the record's RDATA. Over TCP the length
	// before the message is that of what is left.
	MalformedCut Malformed = "cut"

	// MalformedLoop has an owner name that is a compression pointer to itself.
	MalformedLoop Malformed = "pointer-loop"

	// MalformedData has RDATA that lacks its last byte, and says so in RDLENGTH:
	// an address of 3 or 15 bytes. Raw records may be none the worse for it.
	MalformedData Malformed = "short-rdata"

	// MalformedLength has RDLENGTH 65535, which is beyond the end.
	MalformedLength Malformed = "long-rdlength"
)

// malformation is how a kind comes about.
type malformation struct {
	spoil  func(reply []byte) []byte // gets a well-formed reply of its own
	record bool                      // the reply must have a record of the type asked for
}

var malformations = map[Malformed]malformation{
	MalformedNoise:    {spoil: noise},
	MalformedID:       {spoil: wrongID},
	MalformedQuestion: {spoil: wrongQuestion},
	MalformedCounts:   {spoil: wrongCounts},
	MalformedCut:      {spoil: cutRecord, record: true},
	MalformedLoop:     {spoil: pointerLoop, record: true},
	MalformedData:     {spoil: shortData, record: true},
	MalformedLength:   {spoil: longLength, record: true},
}

// check says what is wrong with the kind of the answer at where, which has
// records or none.
func (m Malformed) check(where string, records bool) error {
	if m == "" {
		return nil
	}
	kind, known := malformations[m]
	if !known {
		return fmt.Errorf("%s.Malformed is %q: use one of %q", where, m, slices.Sorted(maps.Keys(malformations)))
	}
	if kind.record && !records {
		return fmt.Errorf("%s.Malformed is %q, which needs a record to spoil: add one", where, m)
	}
	return nil
}

// spoil returns reply as m has it, which may be in the same memory.
func (m Malformed) spoil(reply []byte) []byte {
	if m == "" {
		return reply
	}
	return malformations[m].spoil(reply)
}

// Where things stand in a message's header (RFC 1035 section 4.1.1), in bytes.
const (
	flagsAt       = 2
	answerCountAt = 6
	headerSize    = 12

	responseBit = 0x80
)

func noise(reply []byte) []byte {
	spoiled := make([]byte, len(reply))
	_, _ = rand.NewChaCha8([32]byte{}).Read(spoiled) // never an error
	copy(spoiled, reply[:flagsAt])
	spoiled[flagsAt] |= responseBit
	return spoiled
}

func wrongID(reply []byte) []byte {
	reply[0], reply[1] = ^reply[0], ^reply[1]
	return reply
}

// wrongQuestion changes the owner names along with the question's: they point to
// it.
func wrongQuestion(reply []byte) []byte {
	switch length, letter := reply[headerSize], &reply[headerSize+1]; {
	case length == 0:
		reply[headerSize+2] ^= 1 // the low byte of the type
	case *letter == 'x' || *letter == 'X':
		*letter = 'y'
	default:
		*letter = 'x'
	}
	return reply
}

func wrongCounts(reply []byte) []byte {
	binary.BigEndian.PutUint16(reply[answerCountAt:], 65535)
	return reply
}

func cutRecord(reply []byte) []byte {
	v := findVictim(reply)
	return reply[:(v.data+v.end)/2]
}

// pointerLoop always finds room for the offset in the pointer's 14 bits: before
// the record are the question and 16 aliases at most, below 300 bytes each.
func pointerLoop(reply []byte) []byte {
	const pointer = 0xC000
	v := findVictim(reply)
	loop := binary.BigEndian.AppendUint16(nil, pointer|uint16(v.owner))
	return slices.Concat(reply[:v.owner], loop, reply[v.fields:])
}

// shortData leaves every record behind in its form: names there only point to
// what is before.
func shortData(reply []byte) []byte {
	v := findVictim(reply)
	if v.end == v.data {
		return reply // RDATA of nothing has no byte to lose
	}
	binary.BigEndian.PutUint16(reply[v.data-2:], uint16(v.end-v.data-1))
	return slices.Delete(reply, v.end-1, v.end)
}

func longLength(reply []byte) []byte {
	v := findVictim(reply)
	binary.BigEndian.PutUint16(reply[v.data-2:], 65535)
	return reply
}

// victim is where the parts of the record to spoil begin.
type victim struct{ owner, fields, data, end int }

// findVictim walks over a well-formed reply to its first record of the type that
// was asked for; the caller knows that there is one.
func findVictim(reply []byte) victim {
	const typeAndClass, fixedFields = 4, 10
	typeAt := skipName(reply, headerSize)
	asked := reply[typeAt : typeAt+2]
	v := victim{end: typeAt + typeAndClass}
	for {
		v.owner = v.end
		v.fields = skipName(reply, v.owner)
		v.data = v.fields + fixedFields
		v.end = v.data + int(binary.BigEndian.Uint16(reply[v.data-2:]))
		if bytes.Equal(reply[v.fields:v.fields+2], asked) {
			return v
		}
	}
}

// skipName returns where the name at offset at ends.
func skipName(reply []byte, at int) int {
	const pointer = 0xC0
	for {
		switch length := int(reply[at]); {
		case length == 0:
			return at + 1
		case length >= pointer:
			return at + 2
		default:
			at += 1 + length
		}
	}
}
