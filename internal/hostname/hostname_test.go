package hostname

import (
	"strings"
	"testing"
)

func TestIsNumber(t *testing.T) {
	for label, want := range map[string]bool{
		"1": true, "0127": true, "2130706433": true, "0x7f": true, "0X7F": true, "0x": true, "": true,
		"a": false, "1a": false, "7f": false, "0xg": false, "x1": false, "1-1": false, "example": false,
	} {
		if got := IsNumber(label); got != want {
			t.Errorf("IsNumber(%q) is %t", label, got)
		}
	}
}

func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		"":                      `""`,
		"a b":                   `"a b"`,
		"\x1b[31mé\n":           `"\x1b[31m\u00e9\n"`,
		strings.Repeat("x", 78): `"` + strings.Repeat("x", 78) + `"`,
		strings.Repeat("x", 79): `"` + strings.Repeat("x", 79) + `..."`,
	} {
		if got := Quote(s); got != want {
			t.Errorf("Quote(%q) is %s, want %s", s, got, want)
		}
	}
}
