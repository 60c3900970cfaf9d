package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// style is how text is laid out.
type style struct {
	width int  // columns of a line
	color bool // ANSI colours; nothing is told by colour alone
}

// defaultWidth is for output that is no terminal, or one that hides its width.
const defaultWidth = 100

// styleOf asks w. Colour needs a terminal and no NO_COLOR (no-color.org).
func styleOf(w io.Writer) style {
	s := style{width: defaultWidth}
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return s
	}
	if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
		s.width = width
	}
	s.color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return s
}

// color is the parameter of an ANSI "select graphic rendition".
type color string

const (
	plain  color = ""
	bold   color = "1"
	dim    color = "2"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
)

// paint leaves blanks alone, so that lines can be trimmed before.
func (s style) paint(c color, text string) string {
	if !s.color || c == plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
