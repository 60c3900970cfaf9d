package sim

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// picture is what can be seen of an SVG.
type picture struct {
	Width  float64 `xml:"width,attr"`
	Height float64 `xml:"height,attr"`
	Words  string  `xml:"text"` // outside of the panels
	Panels []struct {
		Transform string `xml:"transform,attr"`
		Circles   []struct {
			X    float64 `xml:"cx,attr"`
			Y    float64 `xml:"cy,attr"`
			Fill string  `xml:"fill,attr"`
		} `xml:"circle"`
		Texts []struct {
			X      float64 `xml:"x,attr"`
			Y      float64 `xml:"y,attr"`
			Anchor string  `xml:"text-anchor,attr"`
			Words  string  `xml:",chardata"`
		} `xml:"text"`
	} `xml:"g"`
}

func drawing(t *testing.T, rows []Row) picture {
	t.Helper()
	var b strings.Builder
	if err := WriteSVG(&b, rows); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v\n%s", err, b.String())
		}
	}
	var p picture
	if err := xml.Unmarshal([]byte(b.String()), &p); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
		t.Fatalf("a number is none:\n%s", b.String())
	}
	return p
}

// Slower is higher, dearer is further right, never is on top, and each dialer has
// its two marks and its name.
func TestPicture(t *testing.T) {
	row := func(world, dialer string, syns float64, p50, p99 time.Duration) Row {
		return Row{World: world, Dialer: dialer, Worlds: 10, SYNs: syns, P50: p50, P99: p99}
	}
	p := drawing(t, []Row{
		row("a", "x", 1.01, 40*ms, 1000*ms),
		row("a", "<y> & \"z\"", 3, 20*ms, 500*ms),
		row("b", "x", 1, 40*ms, 40*ms),
		row("a", "v", 1.5, 40*ms, Never),
		{World: "b", Dialer: "hopeless", Worlds: 10, Failures: 10, P50: Never, P99: Never},
	})
	if len(p.Panels) != 2 || p.Height != 2*panelHeight || p.Panels[1].Transform != fmt.Sprintf("translate(0 %d)", panelHeight) {
		t.Fatalf("%d panels in a height of %v", len(p.Panels), p.Height)
	}
	a, b := p.Panels[0].Circles, p.Panels[1].Circles
	if len(a) != 6 || len(b) != 2 {
		t.Fatalf("%d and %d marks, want 6 and 2", len(a), len(b))
	}
	for i, left := range []int{0, 4, 2} { // x, v, y by their cost
		if a[left].X != a[left+1].X || i > 0 && a[left].X <= a[[]int{0, 4, 2}[i-1]].X {
			t.Errorf("the marks of dialer %d are at %v and %v", i, a[left].X, a[left+1].X)
		}
	}
	// Never, 1000 ms, 500 ms, 40 ms twice, 20 ms: from the top.
	order := []float64{a[5].Y, a[1].Y, a[3].Y, a[0].Y, a[4].Y, a[2].Y}
	if !slices.IsSorted(order) || order[3] != order[4] || order[0] != neverAt || order[1]-order[0] < 10 {
		t.Errorf("the heights are %v", order)
	}
	// A factor is a distance: from 20 to 40 as from 500 to 1000.
	if upper, lower := a[3].Y-a[1].Y, a[2].Y-a[0].Y; upper-lower > 0.2 || lower-upper > 0.2 {
		t.Errorf("twice the time is %v and %v higher", lower, upper)
	}
	for i, c := range a {
		if (c.Fill == "white") != (i%2 == 1) {
			t.Errorf("mark %d is %s", i, c.Fill)
		}
		if c.X < frameLeft || c.X > frameRight || c.Y < frameTop || c.Y > frameBottom {
			t.Errorf("mark %d is at %v, %v, outside of the frame", i, c.X, c.Y)
		}
	}
	words := func(panel int) (words []string) {
		for _, text := range p.Panels[panel].Texts {
			words = append(words, text.Words)
		}
		return words
	}
	for _, want := range []string{"x", "<y> & \"z\"", "v", "never"} {
		if !slices.Contains(words(0), want) {
			t.Errorf("%q is not among %q", want, words(0))
		}
	}
	if slices.Contains(words(1), "never") || slices.Contains(words(1), "hopeless") {
		t.Errorf("in panel b there is %q", words(1))
	}
}

// Where nothing has connected there is a picture that says so.
func TestPictureOfNothing(t *testing.T) {
	p := drawing(t, []Row{{World: "dead", Dialer: "any", Impossible: 3}, {World: "slow", Dialer: "any", Worlds: 1, Failures: 1}})
	if len(p.Panels) != 0 || p.Height <= 0 || !strings.HasPrefix(p.Words, "no connection") {
		t.Errorf("%+v", p)
	}
}

// Where there are more names than room the panel grows, and the next one stands
// below it. Names near the bottom move up.
func TestManyNames(t *testing.T) {
	var rows []Row
	for _, world := range []string{"a", "b"} {
		rows = append(rows, Row{World: world, Dialer: "slow", Worlds: 1, SYNs: 1, P50: time.Minute, P99: time.Minute})
		for i := range 30 {
			rows = append(rows, Row{World: world, Dialer: fmt.Sprint(i), Worlds: 1, SYNs: 1, P50: ms, P99: ms})
		}
	}
	p := drawing(t, rows)
	height := frameTop + 31*nameHeight
	if p.Height != float64(2*height) || p.Panels[1].Transform != fmt.Sprintf("translate(0 %d)", height) {
		t.Errorf("height is %v, and the second panel at %s; want %d and half", p.Height, p.Panels[1].Transform, 2*height)
	}
	few := drawing(t, rows[:20])
	for _, text := range append(p.Panels[0].Texts, few.Panels[0].Texts...) {
		if text.X == namesLeft && text.Y > float64(height) {
			t.Errorf("%q is at %v, below its panel", text.Words, text.Y)
		}
	}
	for _, text := range few.Panels[0].Texts {
		if text.Y > panelHeight {
			t.Errorf("%q is at %v, below its panel", text.Words, text.Y)
		}
	}
}

// Whatever the rows are, no two words of a panel overlap, and all of them are in the
// picture.
func TestNoWordsOverlap(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		var rows []Row
		for i := range 1 + r.IntN(40) {
			p50 := time.Duration(1 + r.Int64N(int64(1)<<(20+r.IntN(16))))
			row := Row{World: "w", Dialer: fmt.Sprint("dialer ", i), Worlds: 1, SYNs: 1 + r.Float64()*float64(r.IntN(8)), P50: p50, P99: p50 * time.Duration(1+r.IntN(20))}
			if r.IntN(8) == 0 {
				row.P99 = Never
			}
			if i > 0 && r.IntN(3) == 0 {
				row.P50, row.P99, row.SYNs = rows[i-1].P50, rows[i-1].P99, rows[i-1].SYNs
			}
			rows = append(rows, row)
		}
		p := drawing(t, rows)
		type box struct {
			left, right, top, bottom float64
			words                    string
		}
		var boxes []box
		for _, text := range p.Panels[0].Texts {
			width := 7 * float64(len(text.Words)) // of a sans serif font of 12 pixels
			left := text.X - map[string]float64{"start": 0, "middle": width / 2, "end": width}[text.Anchor]
			boxes = append(boxes, box{left, left + width, text.Y - 9, text.Y + 3, text.Words})
		}
		for i, b := range boxes {
			if b.top < 0 || b.bottom > p.Height || b.left < 0 || b.right > p.Width {
				t.Errorf("seed %d: %q is outside of the picture", seed, b.words)
			}
			for _, other := range boxes[:i] {
				if b.left < other.right && other.left < b.right && b.top < other.bottom && other.top < b.bottom {
					t.Errorf("seed %d: %q overlaps %q", seed, b.words, other.words)
				}
			}
		}
	}
}

// Names keep their distance and their order, and those that have room stay where
// they want to be.
func TestApart(t *testing.T) {
	for _, c := range []struct{ wanted, want string }{
		{"", ""},
		{"100", "100"},
		{"100 200", "100 200"},
		{"100 100", "92 108"},
		{"100 100 100", "84 100 116"},
		{"100 110 400", "97 113 400"},
		{"100 116 132", "100 116 132"},
		{"100 120 120 136", "95 111 127 143"}, // 5, 9 and 7 off one way or the other
	} {
		var wanted []float64
		for word := range strings.FieldsSeq(c.wanted) {
			x, err := strconv.ParseFloat(word, 64)
			if err != nil {
				t.Fatal(err)
			}
			wanted = append(wanted, x)
		}
		got := strings.Trim(fmt.Sprint(apart(wanted)), "[]")
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.wanted, got, c.want)
		}
	}
}

// Ticks are round numbers within the scale, and not too close to each other.
func TestTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      string
	}{
		{0.9, 1200, "[1 10 100 1000]"},
		{15, 600, "[20 50 100 200 500]"},
		{0.2, 0.71, "[0.2 0.3 0.4 0.5 0.7]"},
		{1.02, 1.55, "[1.1 1.2 1.3 1.4 1.5]"},
		{3, 9, "[3 4 5 7]"},
		{0.095, 0.15, "[0.1 0.12 0.14]"},
		{0.8, 1.3, "[0.8 0.9 1 1.2]"},
		{1, 1e40, "[1 1000 1e+06 1e+09 1e+12 1e+15 1e+18 1e+21 1e+24 1e+27 1e+30 1e+33 1e+36 1e+39]"}, // 22 px each
	} {
		got := scale{low: c.low, high: c.high, from: 0, to: 300}.ticks(20)
		for i := range got {
			got[i], _ = strconv.ParseFloat(fmt.Sprintf("%.6g", got[i]), 64)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%v to %v: %v, want %s", c.low, c.high, got, c.want)
		}
	}
}
