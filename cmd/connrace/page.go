package main

import (
	"bytes"
	"io"
	"strings"
)

// page collects lines, so that a reply is written at once.
type page struct {
	style    style
	text     bytes.Buffer
	separate bool // a blank line is due before the next line
}

func (p *page) line(text string) {
	if p.separate {
		p.text.WriteByte('\n')
		p.separate = false
	}
	p.text.WriteString(strings.TrimRight(text, " ") + "\n")
}

// blank separates what is there from what follows, if there is both.
func (p *page) blank() { p.separate = p.text.Len() > 0 }

// heading prints its parts on as few lines as they need.
func (p *page) heading(parts ...string) {
	const dot = " · "
	line := ""
	for _, part := range parts {
		switch {
		case part == "":
		case line == "":
			line = part
		case columns(line+dot+part) > p.style.width:
			p.line(p.style.paint(bold, line))
			line = pad(headingIndent) + part
		default:
			line += dot + part
		}
	}
	p.line(p.style.paint(bold, line))
}

// headingIndent is that of a heading's further lines.
const headingIndent = 2

// labelWidth is that of the longest label of a note, and a gap.
const labelWidth = 11

// note prints a labelled text, wrapped under its beginning.
func (p *page) note(label, text string, c color) {
	for i, line := range wrap(text, p.style.width-labelWidth) {
		if i > 0 {
			label = ""
		}
		p.line(p.style.paint(c, label) + pad(labelWidth-columns(label)) + line)
	}
}

// writeTo writes the page. An error of writing is w's to remember.
func (p *page) writeTo(w io.Writer) { _, _ = w.Write(p.text.Bytes()) }

// wrap breaks a text at blanks. A word that is too long has a line of its own.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case columns(line)+1+columns(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
