package main

import "strings"

// table aligns cells. A column in which no row has anything is left out.
type table struct {
	columns []column
	rows    [][]cell
}

// column is one column of a table.
type column struct {
	head  string
	right bool // aligned
	spare int  // columns with a higher number go first when the line is too long; 0 stays
	least int  // columns it takes at least, for tables that go on later
	clips bool // a text of somebody's own, of which a part will do
}

// cell is one cell of a table.
type cell struct {
	text  string
	color color
}

func text(s string) cell { return cell{text: s} }

// gap separates columns.
const gap = "  "

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

// widths returns the width of each column; -1 for those that are left out.
func (t *table) widths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = -1
		for _, row := range t.rows {
			if row[i].text != "" {
				widths[i] = max(widths[i], c.least, columns(c.head), columns(row[i].text))
			}
		}
	}
	return widths
}

// width is that of the longest line.
func (t *table) width() int {
	total := -len(gap)
	for _, w := range t.widths() {
		if w >= 0 {
			total += len(gap) + w
		}
	}
	return max(total, 0)
}

// How much is left of a cell that is clipped: before a column goes for it, and after.
const (
	clipLong  = 24
	clipShort = 10
)

// fit shortens very long texts and drops spare columns until the lines have at most the
// given width, or nothing is left to do.
func (t *table) fit(width int) {
	t.clip(width, clipLong)
	for t.width() > width && t.dropSpare() {
	}
}

// squeeze is fit for a table that has nowhere else to go: it shortens more.
func (t *table) squeeze(width int) {
	t.fit(width)
	t.clip(width, clipShort)
}

// clip shortens the texts that may be, to no less than the given columns.
func (t *table) clip(width, least int) {
	for i, c := range t.columns {
		over, now := t.width()-width, t.widths()[i]
		if !c.clips || over <= 0 || now <= least {
			continue
		}
		for _, row := range t.rows {
			row[i].text = clip(row[i].text, max(now-over, least))
		}
	}
}

func (t *table) dropSpare() bool {
	widths, drop := t.widths(), -1
	for i, c := range t.columns {
		if widths[i] >= 0 && c.spare > 0 && (drop < 0 || c.spare > t.columns[drop].spare) {
			drop = i
		}
	}
	if drop < 0 {
		return false
	}
	for _, row := range t.rows {
		row[drop] = cell{}
	}
	return true
}

// head is the line above the rows.
func (t *table) head(s style) string {
	cells := make([]cell, len(t.columns))
	for i, c := range t.columns {
		cells[i] = cell{text: c.head, color: dim}
	}
	return alignCells(s, t.columns, t.widths(), cells).text
}

// lines are the rows as text.
func (t *table) lines(s style) []lineStart {
	lines, widths := make([]lineStart, len(t.rows)), t.widths()
	for i, row := range t.rows {
		lines[i] = alignCells(s, t.columns, widths, row)
	}
	return lines
}

// lineStart is a line so far. Its width does not count colours.
type lineStart struct {
	text  string
	width int
}

// alignCells joins the cells of a row. Blanks come before a cell, never at the
// end.
func alignCells(s style, cols []column, widths []int, cells []cell) lineStart {
	var b strings.Builder
	at, width := 0, 0 // where the column begins, where the line ends
	for i, w := range widths {
		if w < 0 {
			continue
		}
		if c := cells[i]; c.text != "" {
			start := at
			if cols[i].right {
				start += w - columns(c.text)
			}
			b.WriteString(pad(start-width) + s.paint(c.color, c.text))
			width = start + columns(c.text)
		}
		at += w + len(gap)
	}
	return lineStart{b.String(), width}
}

// printTable prints head and rows.
func (p *page) printTable(t *table) {
	t.squeeze(p.style.width)
	p.line(t.head(p.style))
	for _, l := range t.lines(p.style) {
		p.line(l.text)
	}
}
