package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// awaited calls, and shows a person at a terminal that the answer is still to
// come. Programs see nothing of it.
func awaited[T any](out *output, what string, call func() (T, error)) (T, error) {
	return awaitedAt(out, func() string { return what }, call)
}

// awaitedAt is awaited where there is more to say as time goes by.
func awaitedAt[T any](out *output, what func() string, call func() (T, error)) (T, error) {
	file, ok := out.stderr.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return call()
	}
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick(file, what, done)
	}()
	defer func() {
		close(done)
		<-gone
	}()
	return call()
}

// tick counts the seconds on one line until done is closed, then wipes it out.
func tick(w io.Writer, what func() string, done <-chan struct{}) {
	seconds := time.NewTicker(time.Second)
	defer seconds.Stop()
	for n := 1; ; n++ {
		select {
		case <-seconds.C:
			_, _ = fmt.Fprintf(w, "\r%s … %d s", what(), n) // it is for eyes only
		case <-done:
			if n > 1 {
				_, _ = io.WriteString(w, "\r\x1b[K")
			}
			return
		}
	}
}
