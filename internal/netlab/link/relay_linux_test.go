package link

import (
	"math"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stamp is a control message with a time since 1970.
func stamp(at time.Duration) []byte {
	t := unix.NsecToTimespec(int64(at))
	size := int(unsafe.Sizeof(t))
	b := make([]byte, unix.CmsgSpace(size))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS
	h.SetLen(unix.CmsgLen(size))
	*(*unix.Timespec)(unsafe.Pointer(&b[unix.CmsgLen(0)])) = t
	return b
}

func TestTimestamp(t *testing.T) {
	other := stamp(5)
	(*unix.Cmsghdr)(unsafe.Pointer(&other[0])).Type = unix.SCM_RIGHTS
	short := stamp(5)
	(*unix.Cmsghdr)(unsafe.Pointer(&short[0])).SetLen(unix.CmsgLen(4))
	long := stamp(5)
	(*unix.Cmsghdr)(unsafe.Pointer(&long[0])).SetLen(1000)
	for name, c := range map[string]struct {
		extra []byte
		want  time.Duration
		found bool
	}{
		"alone":                 {stamp(1700000000123456789), 1700000000123456789, true},
		"behind another":        {append(other, stamp(7)...), 7, true},
		"none":                  {nil, 0, false},
		"others":                {other, 0, false},
		"too short":             {short, 0, false},
		"longer than there is":  {long, 0, false},
		"a piece of the header": {stamp(5)[:unix.CmsgLen(0)-1], 0, false},
	} {
		if got, found := timestamp(c.extra); got != c.want || found != c.found {
			t.Errorf("%s: %v, %v, want %v, %v", name, got, found, c.want, c.found)
		}
	}
}

// A look at the clocks that was interrupted between them does not make frames seem
// later than those of the next one; a clock that was set is believed.
func TestOffsetsKeepTheOrder(t *testing.T) {
	const set = 40 * time.Second
	for name, c := range map[string]struct{ offset, least, most, want time.Duration }{
		"the first look":                {math.MaxInt64, 10, 12, 12},
		"the same again":                {12, 11, 13, 12},
		"interrupted after the wall's":  {12, 11, 5 * ms, 12},
		"interrupted before the wall's": {12, 11 - 5*ms, 13, 12},
		"after one that was":            {5 * ms, 11, 13, 13},
		"the wall was set back":         {12, set + 11, set + 13, set + 11},
		"the wall was set ahead":        {12, 11 - set, 13 - set, 13 - set},
	} {
		if got := within(c.offset, c.least, c.most); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// The kernel's word for the arrival counts as far as it can be true.
func TestArrival(t *testing.T) {
	const clocks = -1700000000 * time.Second // between the two
	for name, c := range map[string]struct {
		said         time.Duration // before the relay woke up
		empty        time.Duration // likewise
		least, most  time.Duration // likewise
		withoutWords bool
	}{
		"as it says":               {said: 3 * ms, empty: 5 * ms, least: 3 * ms, most: 3 * ms},
		"between two looks":        {said: 12 * ms, empty: 5 * ms, least: 12 * ms, most: 12 * ms},
		"after a step forward":     {said: time.Hour, empty: 5 * ms, least: 15 * ms, most: 15 * ms},
		"after a step back":        {said: -time.Hour, empty: 5 * ms, least: -time.Minute, most: 0},
		"since the relay woke up":  {said: -1, empty: 5 * ms, least: -1, most: -1},
		"nothing is said about it": {withoutWords: true, empty: 5 * ms, least: -time.Minute, most: 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := &relay{woke: monotonic(), offset: clocks}
			extra := stamp(r.woke - c.said - clocks)
			if c.withoutWords {
				extra = nil
			}
			at := r.arrival(&socket{empty: r.woke - c.empty}, extra)
			if before := r.woke - at; before < c.least || before > c.most {
				t.Errorf("it came %v before the relay woke up, want %v to %v", before, c.least, c.most)
			}
			if at > monotonic() {
				t.Error("it is to come yet")
			}
		})
	}
}

// A request that is none ends the process with a complaint, and is no panic.
func TestRelayRequests(t *testing.T) {
	for said, want := range map[string]string{
		"{\"start\":{}}\n":                                            "{}\n",
		"{\"set\":{\"addr\":\"192.0.2.1\"}}\n":                        "{\"error\":\"link: not started\"}\n",
		"{\"start\":{}}\n{\"packets\":{\"from\":-5}}\n":               "{}\n{}\n",
		"{\"start\":{}}\n{}\n{\"lateness\":{\"from\":9,\"end\":7}}\n": "{}\n{}\n",
		"nonsense\n": "! link: a request is no request",
	} {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		wantNil(t, err)
		for _, b := range []byte(said) { // in small pieces
			_, err := unix.Write(fds[0], []byte{b})
			wantNil(t, err)
		}
		wantNil(t, unix.Shutdown(fds[0], unix.SHUT_WR))
		err = newRelay(-1, -1, fds[1]).run()
		wantNil(t, unix.Close(fds[1]))
		text := make([]byte, 1000)
		n, _ := unix.Read(fds[0], text)
		got := string(text[:max(n, 0)])
		if err != nil {
			got = "! " + err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%q is answered %q, want %q", said, got, want)
		}
		wantNil(t, unix.Close(fds[0]))
	}
}

func TestClock(t *testing.T) {
	c := NewClock()
	for range 100 {
		before := time.Now()
		mono := monotonic()
		after := time.Now()
		const slack = 50 * time.Microsecond
		if at := c.At(mono); at.Before(before.Add(-slack)) || at.After(after.Add(slack)) {
			t.Fatalf("between %v and %v it was %v", before, after, at)
		}
		time.Sleep(100 * time.Microsecond)
	}
	if c.At(5*ms).Sub(c.At(2*ms)) != 3*ms {
		t.Error("times are not as far apart as they were")
	}
}

// A relay that had no core between its look at the sockets and that at the clocks goes
// by the kernel all the same: a frame that came meanwhile is no later for it.
func TestPreemptedAfterTheLook(t *testing.T) {
	ours, theirs := newWires(unix.SOCK_SEQPACKET)
	defer ours.close()
	defer theirs.close()
	for _, f := range theirs {
		wantNil(t, prepare(f))
	}
	r := newRelay(int(theirs[Client].Fd()), int(theirs[Server].Fd()), -1)
	r.emulator = New(Config{Router4: router4, Router6: router6})
	wantNil(t, r.emulator.Set(server4, Path{}))
	ours.send(t, Server, tcp(server4, "SA").reversed().frame())
	wantNil(t, r.wait()) // and sees nothing of the client's
	sent := ours.send(t, Client, tcp(server4, "S").frame())
	after := monotonic()
	time.Sleep(100 * ms)
	r.woke = monotonic()
	wantNil(t, r.receive())
	wantNil(t, r.wait())
	wantNil(t, r.receive())
	packets, _ := r.emulator.Packets(monotonic())
	if len(packets) != 2 {
		t.Fatalf("the log is %+v", packets)
	}
	for _, p := range packets {
		if p.By == Client && (p.Sent < sent-ms || p.Sent > after+50*ms) {
			t.Errorf("it was sent between %v and %v, and the log has %v later", sent, after, p.Sent-after)
		}
	}
}
