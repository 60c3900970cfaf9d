package main

import (
	"strings"
	"testing"
	"time"
)

func TestHumanDuration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0 ms"},
		{4 * time.Microsecond, "0 ms"},
		{5 * time.Microsecond, "0.01 ms"},
		{40 * time.Microsecond, "0.04 ms"},
		{94 * time.Microsecond, "0.09 ms"},
		{96 * time.Microsecond, "0.1 ms"},
		{312 * time.Microsecond, "0.3 ms"},
		{time.Millisecond, "1 ms"},
		{4250 * time.Microsecond, "4.2 ms"},
		{9960 * time.Microsecond, "10 ms"},
		{12*time.Millisecond + 400*time.Microsecond, "12 ms"},
		{250 * time.Millisecond, "250 ms"},
		{999600 * time.Microsecond, "1 s"},
		{1012 * time.Millisecond, "1.01 s"},
		{2 * time.Second, "2 s"},
		{9996 * time.Millisecond, "10 s"},
		{12340 * time.Millisecond, "12.3 s"},
		{99960 * time.Millisecond, "100 s"},
		{10 * time.Minute, "600 s"},
	} {
		if got := humanDuration(c.d); got != c.want {
			t.Errorf("humanDuration(%v) is %q, want %q", c.d, got, c.want)
		}
	}
}

func TestPlural(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0 attempts":  plural(0, "attempt"),
		"1 attempt":   plural(1, "attempt"),
		"2 attempts":  plural(2, "attempt"),
		"1 address":   plural(1, "address"),
		"2 addresses": plural(2, "address"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Whatever a label or a daemon's sentence holds, the terminal is not steered.
func FuzzPrintable(f *testing.F) {
	f.Add("plain\x1b[31m\r\n\t\x07\u0085\u202e\xff")
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range printable(text) {
			if r < 0x20 || 0x7f <= r && r < 0xa0 {
				t.Errorf("%q has the control character %U", printable(text), r)
			}
		}
	})
}

func TestColumns(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"":                  0,
		"eu-west":           7,
		"╵━●▇└…µ":           7,
		"Zu\u0308rich":      6,
		"東京":                4, //nolint:gosmopolitan // of two columns each
		"서울":                4,
		"ｔｏｋｙｏ":             10,
		"ﾄｳｷｮｳ":             5,
		"\U0001f680 launch": 9,
	} {
		if got := columns(text); got != want {
			t.Errorf("%q has %d columns, want %d", text, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"frankfurt", 9, "frankfurt"},
		{"frankfurt", 8, "frankfu…"},
		{"東京都港区", 10, "東京都港区"}, //nolint:gosmopolitan // of two columns each
		{"東京都港区", 9, "東京都港…"},  //nolint:gosmopolitan // of two columns each
		{"東京都港区", 8, "東京都…"},   //nolint:gosmopolitan // half a character is none
		{"Zu\u0308rich", 6, "Zu\u0308rich"},
		{"Zu\u0308rich", 3, "Zu\u0308…"},
	} {
		if got := clip(c.text, c.width); got != c.want {
			t.Errorf("%q in %d columns is %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	const text = "a text of several words, one of which isconsiderablylongerthantheline and some that follow"
	for width := 1; width < 40; width++ {
		lines := wrap(text, width)
		for _, line := range lines {
			if columns(line) > width && strings.Contains(line, " ") {
				t.Errorf("width %d: %q could have been broken", width, line)
			}
		}
		if got := strings.Join(lines, " "); got != text {
			t.Errorf("width %d: words were lost: %q", width, got)
		}
	}
}
