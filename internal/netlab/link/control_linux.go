package link

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// control is the socket on which the link's process is told what to do: a line of
// JSON for each request, and one for each reply.
type control struct {
	fd    int
	ready bool   // there may be something to read
	begun []byte // what has come of the next line
}

// obey does what has been asked. over says that nobody will ask any more.
func (r *relay) obey() (over bool, err error) {
	if !r.control.ready {
		return false, nil
	}
	if over, err = r.control.receive(); over || err != nil {
		return over, err
	}
	for {
		line, whole := r.control.next()
		if !whole {
			return false, nil
		}
		if over, err = r.answer(line); over || err != nil {
			return over, err
		}
	}
}

// answer answers one request.
func (r *relay) answer(line []byte) (over bool, err error) {
	var asked request
	if err := json.Unmarshal(line, &asked); err != nil {
		return false, fmt.Errorf("link: a request is no request: %w: %q", err, line)
	}
	var answer reply
	switch {
	case asked.Start != nil:
		r.emulator = New(*asked.Start)
	case r.emulator == nil:
		answer.Error = "link: not started"
	default:
		answer = asked.do(r.emulator, monotonic())
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return false, err
	}
	return r.control.reply(append(text, '\n'))
}

func (c *control) receive() (over bool, err error) {
	var chunk [16 << 10]byte
	n, err := unix.Read(c.fd, chunk[:])
	switch {
	case errors.Is(err, unix.EINTR):
		return false, nil
	case errors.Is(err, unix.ECONNRESET), err == nil && n == 0:
		return true, nil
	case err != nil:
		return false, os.NewSyscallError("read the control socket", err)
	}
	c.begun = append(c.begun, chunk[:n]...)
	return false, nil
}

// next takes out a line, if one is whole.
func (c *control) next() (line []byte, whole bool) {
	line, rest, whole := bytes.Cut(c.begun, []byte{'\n'})
	if whole {
		c.begun = rest
	}
	return line, whole
}

// reply waits for room, which there is: who asks reads the reply before it asks
// again.
func (c *control) reply(text []byte) (over bool, err error) {
	for len(text) > 0 {
		n, err := unix.SendmsgN(c.fd, text, nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET):
			return true, nil
		case err != nil:
			return false, os.NewSyscallError("write to the control socket", err)
		}
		text = text[n:]
	}
	return false, nil
}
