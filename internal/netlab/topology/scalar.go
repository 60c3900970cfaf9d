package topology

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scalar reads a value by parse, whose error says what to write instead. It is
// absent where the key was left out or is wrong.
func scalar[T any](n node, absent T, parse func(string) (T, error)) T {
	if v, ok := read(n, parse); ok {
		return v
	}
	return absent
}

func read[T any](n node, parse func(string) (T, error)) (v T, ok bool) {
	if !n.given() {
		return v, false
	}
	text, isScalar := n.text()
	v, err := parse(text) // of what is no scalar, for the sake of the advice
	switch {
	case err != nil:
		n.wrong(err.Error())
	case !isScalar:
		n.wrong("write a text")
	}
	return v, err == nil && isScalar
}

// number reads a whole number, in decimal digits.
func (n node) number(least, most, absent uint64) uint64 {
	return scalar(n, absent, func(text string) (uint64, error) { return parseNumber(text, least, most) })
}

func parseNumber(text string, least, most uint64) (uint64, error) {
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil || v < least || v > most || strconv.FormatUint(v, 10) != text {
		return 0, fmt.Errorf("write a whole number from %d to %d", least, most)
	}
	return v, nil
}

// parseCount reads a number of things that are counted from 1.
func parseCount(text string) (int, error) {
	const most = 1_000_000 // of anything that a lab could live to see
	v, err := parseNumber(text, 1, most)
	return int(v), err
}

// parseText takes any text.
func parseText(text string) (string, error) { return text, nil }

// flag reads true or false.
func (n node) flag() bool {
	return scalar(n, false, func(text string) (bool, error) {
		if text != "true" && text != "false" {
			return false, errors.New("write true or false")
		}
		return text == "true", nil
	})
}

// word reads one of a few words; allowed are at least two.
func (n node) word(absent string, allowed ...string) string {
	return scalar(n, absent, func(text string) (string, error) {
		if !slices.Contains(allowed, text) {
			return "", fmt.Errorf("write one of %s", strings.Join(allowed, ", "))
		}
		return text, nil
	})
}

// maxWait is how long a server waits at most before it does something: longer
// than any client.
const maxWait = time.Hour

func parseWait(text string) (time.Duration, error) { return parseDuration(text, maxWait) }

// parseDuration reads a Go duration from 0 to most.
func parseDuration(text string, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil && 0 <= d && d <= most {
		return d, nil
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil && isDecimal(text) {
		return 0, fmt.Errorf("a number needs a unit: write %sms or %ss", text, text)
	}
	return 0, fmt.Errorf("write a duration from 0s to %v, such as 10ms or 1.5s", most)
}

// isDecimal holds that a number has no sign, no exponent and no other base.
func isDecimal(number string) bool { return strings.Trim(number, "0123456789.") == "" }

// parseShare reads a part of a whole: 5% or 0.05.
func parseShare(text string) (float64, error) {
	digits, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(digits, 64)
	if percent {
		v /= 100
	}
	if err != nil || !isDecimal(digits) || v > 1 {
		return 0, errors.New("write 0% to 100%, or the same as 0 to 1: 5% or 0.05")
	}
	return v, nil
}

// readList reads a list of scalars; advice is what to write instead of anything
// else. It is nil where nothing can be read.
func readList[T any](n node, advice string, parse func(string) (T, error)) []T {
	var values []T
	for _, e := range n.list(advice) {
		if v, ok := read(e, parse); ok {
			values = append(values, v)
		}
	}
	return values
}
