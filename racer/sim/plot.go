package sim

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// WriteSVG draws time against cost: a panel for each name of worlds, in it each
// dialer with its median and its 99th percentile, over the SYNs it sends for a
// connection. Both axes are logarithmic, that of the cost in what goes beyond the one
// SYN that each connection needs. A time of Never stands above the others. What has
// never connected is left out, for it has no cost.
//
// It is drawn by hand, for a plotting library would be half as large again as the
// whole program.
func WriteSVG(to io.Writer, rows []Row) error {
	panels := panelsOf(rows)
	height := 0
	if len(panels) == 0 {
		height = frameTop
	}
	for i := range panels {
		height += panels[i].height()
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="%d">`+"\n",
		panelWidth, height, panelWidth, height, fontSize)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	if len(panels) == 0 {
		text(&b, frameLeft, 22, "start", "black", "no connection in any world: there is nothing to draw")
	}
	top := 0
	for i := range panels {
		panels[i].draw(&b, top)
		top += panels[i].height()
	}
	b.WriteString("</svg>\n")
	_, err := to.Write(b.Bytes())
	return err
}

// Sizes, in pixels. The frame is what the axes enclose; the names of the dialers
// stand to the right of it.
const (
	panelWidth  = 860
	panelHeight = 420
	frameLeft   = 70
	frameRight  = 590
	frameTop    = 44
	frameBottom = 362
	neverAt     = 58 // where Never is; the times begin at timesTop
	timesTop    = 78
	namesLeft   = 640
	nameHeight  = 16
	fontSize    = 12
)

// panel is the rows of worlds of one name, with their scales.
type panel struct {
	rows        []Row
	cost, times scale
}

// scale turns numbers into pixels: the logarithms between low and high are spread
// over from to to.
type scale struct{ low, high, from, to float64 }

func (s scale) at(x float64) float64 {
	return s.from + (s.to-s.from)*math.Log(x/s.low)/math.Log(s.high/s.low)
}

// panelsOf makes a panel for each name of worlds, of the rows that there is
// something to draw of.
func panelsOf(rows []Row) []panel {
	var panels []panel
	at := make(map[string]int)
	for _, r := range rows {
		if !r.Connected() {
			continue // no connection: it has no cost
		}
		i, known := at[r.World]
		if !known {
			i = len(panels)
			at[r.World] = i
			panels = append(panels, panel{})
		}
		panels[i].rows = append(panels[i].rows, r)
	}
	for i := range panels {
		panels[i].fit()
	}
	return panels
}

// fit chooses scales that hold all that is to be seen, with a margin.
func (p *panel) fit() {
	p.cost = scale{low: math.Inf(1), from: frameLeft, to: frameRight}
	p.times = scale{low: math.Inf(1), from: frameBottom, to: timesTop}
	for _, r := range p.rows {
		p.cost.include(beyondOne(r.SYNs))
		for _, t := range []time.Duration{r.P50, r.P99} {
			if t != Never {
				p.times.include(inMilliseconds(t))
			}
		}
	}
	p.cost.widen(1.5)
	p.times.widen(1.25)
}

func (s *scale) include(x float64) { s.low, s.high = min(s.low, x), max(s.high, x) }

// widen makes room beside the outermost marks.
func (s *scale) widen(by float64) {
	if s.high == 0 { // nothing is to be seen
		s.low, s.high = 1, 10
	}
	s.low, s.high = max(s.low, 1e-3)/by, max(s.high, 1e-3)*by
}

// beyondOne is what a number of SYNs for each connection has beyond the one that is
// needed, at least a thousandth: none at all has no logarithm.
func beyondOne(syns float64) float64 { return max(syns-1, 1e-3) }

func inMilliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// y is where a time is.
func (p *panel) y(t time.Duration) float64 {
	if t == Never {
		return neverAt
	}
	return p.times.at(max(inMilliseconds(t), p.times.low))
}

// height is what the names need, and the frame.
func (p *panel) height() int { return max(panelHeight, frameTop+len(p.rows)*nameHeight) }

func (p *panel) draw(b *bytes.Buffer, top int) {
	fmt.Fprintf(b, `<g transform="translate(0 %d)">`+"\n", top)
	text(b, frameLeft, 22, "start", "black", p.rows[0].World+": time to connect, and what it costs")
	p.drawAxes(b)
	names := p.names()
	for i, r := range p.rows {
		color := colors[i%len(colors)]
		x := p.cost.at(beyondOne(r.SYNs))
		fmt.Fprintf(b, `<path d="M%.1f %.1fV%.1f" stroke="%s" stroke-width="2"/>`+"\n", x, p.y(r.P50), p.y(r.P99), color)
		fmt.Fprintf(b, `<path d="M%.1f %.1fL%d %.1fH%d" stroke="%s" stroke-width="0.6" fill="none"/>`+"\n",
			x, p.y(r.P99), frameRight+8, names[i], namesLeft-6, color)
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", x, p.y(r.P50), color)
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4" fill="white" stroke="%s" stroke-width="2"/>`+"\n", x, p.y(r.P99), color)
		text(b, namesLeft, names[i]+4, "start", color, r.Dialer)
	}
	b.WriteString("</g>\n")
}

// colors tell neighbours apart, for most readers also without colour vision: the
// darker half of the scheme of Paul Tol, and some more.
var colors = []string{
	"#332288", "#117733", "#882255", "#aa4499", "#0077bb", "#999933",
	"#cc3311", "#009988", "#555555", "#a05000", "#6644aa", "#004488",
	"#e66100", "#1a85ff", "#40700f", "#d41159",
}

// names are the heights of the dialers' names: each as near to its 99th percentile
// as there is room.
func (p *panel) names() []float64 {
	order := make([]int, len(p.rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &p.rows[i], &p.rows[j]
		// Of two at the same height the one further left goes below: its line would
		// cross the other's mark.
		return cmp.Or(cmp.Compare(p.y(a.P99), p.y(b.P99)), cmp.Compare(b.SYNs, a.SYNs))
	})
	wanted := make([]float64, len(order))
	for rank, i := range order {
		wanted[rank] = p.y(p.rows[i].P99)
	}
	heights := make([]float64, len(order))
	for rank, height := range apart(wanted) {
		left := len(order) - 1 - rank // names that stand below
		height = min(height, float64(p.height()-(left+1)*nameHeight))
		heights[order[rank]] = max(height, float64(frameTop+rank*nameHeight))
	}
	return heights
}

// apart moves sorted heights as little as it takes for nameHeight between them:
// names that would overlap form a block around the middle of what they want.
func apart(wanted []float64) []float64 {
	type block struct {
		middle float64 // of the wanted heights, each less its place in the block
		size   int
	}
	var blocks []block
	for _, height := range wanted {
		last := block{height, 1}
		for len(blocks) > 0 {
			above := blocks[len(blocks)-1]
			if above.middle+float64(above.size)*nameHeight <= last.middle {
				break
			}
			size := above.size + last.size
			sum := above.middle*float64(above.size) + (last.middle-float64(above.size)*nameHeight)*float64(last.size)
			last = block{sum / float64(size), size}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, last)
	}
	var heights []float64
	for _, b := range blocks {
		for i := range b.size {
			heights = append(heights, b.middle+float64(i)*nameHeight)
		}
	}
	return heights
}

func (p *panel) drawAxes(b *bytes.Buffer) {
	fmt.Fprintf(b, `<path d="M%d %dV%dH%d" stroke="black" fill="none"/>`+"\n", frameLeft, frameTop, frameBottom, frameRight)
	for _, ms := range p.times.ticks(20) {
		y := p.times.at(ms)
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" stroke="#e4e4e4"/>`+"\n", frameLeft, y, frameRight)
		text(b, frameLeft-6, y+4, "end", "black", duration(ms))
	}
	if slices.ContainsFunc(p.rows, func(r Row) bool { return r.P99 == Never }) {
		text(b, frameLeft-6, neverAt+4, "end", "black", "never")
	}
	for _, beyond := range p.cost.ticks(50) {
		x := p.cost.at(beyond)
		fmt.Fprintf(b, `<path d="M%.1f %dV%d" stroke="#e4e4e4"/>`+"\n", x, timesTop, frameBottom)
		text(b, x, frameBottom+18, "middle", "black", fmt.Sprintf("%.5g", 1+beyond))
	}
	text(b, (frameLeft+frameRight)/2, frameBottom+38, "middle", "black", "SYNs for each connection")
	text(b, frameRight, 22, "end", "black", "\u25cf median   \u25cb 99th percentile")
}

// ticks are round numbers of a scale, apart by so many pixels: 1, 2 and 5 times the
// powers of ten, or as many steps between them as it takes for three.
func (s scale) ticks(apart float64) (ticks []float64) {
	for _, steps := range tickSteps {
		ticks = ticks[:0]
		for power := math.Pow(10, math.Floor(math.Log10(s.low))); power <= s.high; power *= 10 {
			for _, step := range steps {
				x := step * power
				near := len(ticks) > 0 && math.Abs(s.at(x)-s.at(ticks[len(ticks)-1])) < apart
				if x >= s.low && x <= s.high && !near {
					ticks = append(ticks, x)
				}
			}
		}
		if len(ticks) >= 3 {
			break
		}
	}
	return ticks
}

// tickSteps are steps within a power of ten, the coarsest first.
var tickSteps = [][]float64{
	{1},
	{1, 2, 5},
	{1, 1.5, 2, 3, 4, 5, 7},
	{1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 5, 6, 7, 8, 9},
	tenths(),
}

func tenths() []float64 {
	steps := make([]float64, 0, 90)
	for i := 10; i < 100; i++ {
		steps = append(steps, float64(i)/10)
	}
	return steps
}

// duration writes milliseconds as people do.
func duration(ms float64) string {
	if ms >= 1000 {
		return fmt.Sprintf("%.4g s", ms/1000)
	}
	return fmt.Sprintf("%.4g ms", ms)
}

// text writes words at a place; they may be anything.
func text(b *bytes.Buffer, x, y float64, anchor, color, words string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">`, x, y, anchor, color)
	_ = xml.EscapeText(b, []byte(words)) // a Buffer takes everything
	b.WriteString("</text>\n")
}
