package main

import pb "github.com/connrace/connrace/proto/connrace/v1"

// Columns of a chart: it is worth dropping columns of the table for enough of
// them, and below too few it goes under its row.
const (
	goodChart   = 30
	leastChart  = 24
	belowIndent = 4
)

// chart prints bars beside the lines of tables, or below them.
type chart struct {
	page  *page
	axis  axis
	left  int  // columns the tables take
	below bool // the bars stand under their line
	used  bool // there was a bar
}

// newChart drops columns of the candidates' table for a chart beside it.
func (p *page) newChart(r *pb.RaceResponse, questions, candidates *table) *chart {
	candidates.fit(p.style.width - len(gap) - goodChart)
	c := &chart{page: p, left: max(questions.width(), candidates.width())}
	c.axis = axis{end: lastOffset(r), width: p.style.width - c.left - len(gap)}
	if c.axis.width < leastChart {
		c.below, c.axis.width = true, max(p.style.width-belowIndent, leastChart)
	}
	return c
}

// row prints a line, its bars, and behind it a note when there is no bar.
func (c *chart) row(l lineStart, bars []bar, paint color, note string) {
	drawn := ""
	if len(bars) > 0 {
		c.used = true
		drawn = c.page.style.paint(paint, c.axis.draw(bars))
	}
	switch {
	case drawn == "" && note != "":
		c.page.line(l.text + gap + note)
	case drawn == "":
		c.page.line(l.text)
	case c.below:
		c.page.line(l.text)
		c.page.line(pad(belowIndent) + drawn)
	default:
		c.page.line(l.text + pad(c.left+len(gap)-l.width) + drawn)
	}
}

// finish prints the axis, if there was anything on it.
func (c *chart) finish() {
	if !c.used {
		return
	}
	indent := c.left + len(gap)
	if c.below {
		indent = belowIndent
	}
	c.page.line(pad(indent) + c.page.style.paint(dim, c.axis.ticks()))
}
