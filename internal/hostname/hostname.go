// Package hostname knows what is the same wherever a caller writes a host: which names
// would be read as addresses, and how to repeat in an error what he wrote.
package hostname

import (
	"strconv"
	"strings"
)

// IsNumber says that some resolvers would read a name's last label as a number, and with
// it the name as an IPv4 address in an old spelling: 127.1, 0x7f.1, 2130706433.
func IsNumber(label string) bool {
	digits := "0123456789"
	if hex, ok := strings.CutPrefix(strings.ToLower(label), "0x"); ok {
		label, digits = hex, "0123456789abcdef"
	}
	return strings.Trim(label, digits) == ""
}

// Quote repeats what the caller wrote, in ASCII and not at length: it goes into an
// error, and those must be short.
func Quote(s string) string {
	const most = 80
	quoted := strconv.QuoteToASCII(s)
	if len(quoted) > most {
		return quoted[:most] + `..."`
	}
	return quoted
}
