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

// columns is the width of a text: all we print has one column a rune.
func columns(text string) int { return utf8.RuneCountInString(text) }

func pad(n int) string { return strings.Repeat(" ", max(n, 0)) }
