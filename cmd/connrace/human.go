package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"
)

// humanDuration writes a duration with two or three significant digits: 0.04 ms,
// 0.3 ms, 12 ms, 252 ms, 1.01 s, 12.3 s.
func humanDuration(d time.Duration) string {
	switch ms := float64(d) / 1e6; {
	case ms < 0.095:
		return digits(ms, 2) + " ms"
	case ms < 9.95:
		return digits(ms, 1) + " ms"
	case ms < 999.5:
		return digits(ms, 0) + " ms"
	case ms < 9_995:
		return digits(ms/1000, 2) + " s"
	case ms < 99_950:
		return digits(ms/1000, 1) + " s"
	default:
		return digits(ms/1000, 0) + " s"
	}
}

// digits writes v with at most n decimals.
func digits(v float64, n int) string {
	text := strconv.FormatFloat(v, 'f', n, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// humanOf is empty when the duration is unset.
func humanOf(d *durationpb.Duration) string {
	if d == nil {
		return ""
	}
	return humanDuration(d.AsDuration())
}

// milliseconds are for programs: a duration as a number, rounded to a microsecond.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// plural writes "1 attempt", "3 attempts". Only regular nouns.
func plural(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "s"):
		return fmt.Sprintf("%d %ses", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// printable takes what somebody else wrote and keeps it from steering the
// terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// columns is the width of a text on a terminal.
func columns(text string) int {
	n := 0
	for _, r := range text {
		n += runeColumns(r)
	}
	return n
}

// runeColumns is 0 for what is put onto the rune before, and 2 for what East Asian
// scripts and pictures take. All that we print ourselves has one column.
func runeColumns(r rune) int {
	switch {
	case r < 0x300: // most of it
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// wide are the blocks whose characters are wide or full-width by Unicode's annex 11.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, // Hangul Jamo
		{Lo: 0x2e80, Hi: 0x303e, Stride: 1}, // radicals, punctuation
		{Lo: 0x3041, Hi: 0x4dbf, Stride: 1}, // kana to ideographs A
		{Lo: 0x4e00, Hi: 0xa4cf, Stride: 1}, // ideographs, Yi
		{Lo: 0xa960, Hi: 0xa97c, Stride: 1}, // Hangul Jamo A
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, // Hangul
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1}, // compatibility ideographs
		{Lo: 0xfe30, Hi: 0xfe6b, Stride: 1}, // vertical and small forms
		{Lo: 0xff01, Hi: 0xff60, Stride: 1}, // full-width forms
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1}, // pictures
		{Lo: 0x1f680, Hi: 0x1f6ff, Stride: 1},
		{Lo: 0x1f900, Hi: 0x1f9ff, Stride: 1},
		{Lo: 0x1fa70, Hi: 0x1faff, Stride: 1},
		{Lo: 0x20000, Hi: 0x3fffd, Stride: 1}, // further ideographs
	},
}

// clip shortens a text to a number of columns; an ellipsis takes the last one.
func clip(text string, width int) string {
	if columns(text) <= width {
		return text
	}
	kept, at := 0, 0
	for i, r := range text {
		if kept += runeColumns(r); kept >= width {
			break
		}
		at = i + utf8.RuneLen(r)
	}
	return text[:at] + "…"
}

func pad(n int) string { return strings.Repeat(" ", max(n, 0)) }
