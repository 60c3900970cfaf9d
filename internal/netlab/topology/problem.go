package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/token"
)

// maxProblems is how many problems an error lists: more than a person mends
// before the next try.
const maxProblems = 50

// problem is one thing that is wrong with a file.
type problem struct {
	line, column int // from 1, in characters
	text         string
}

// problems are those found so far, in any order.
type problems struct {
	file string
	all  []problem
}

func (p *problems) add(line, column int, text string) {
	p.all = append(p.all, problem{line, column, text})
}

func (p *problems) addToken(tk *token.Token, text string) {
	p.add(tk.Position.Line, tk.Position.Column, text)
}

// err returns all problems as one error, or nil if there are none.
func (p *problems) err() error {
	if len(p.all) == 0 {
		return nil
	}
	return p
}

// Error lists the problems in the order of the file.
func (p *problems) Error() string {
	sorted := slices.Clone(p.all)
	slices.SortStableFunc(sorted, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	var lines []string
	for _, one := range sorted[:min(len(sorted), maxProblems)] {
		lines = append(lines, fmt.Sprintf("%s:%d:%d: %s", p.file, one.line, one.column, one.text))
	}
	if more := len(sorted) - maxProblems; more > 0 {
		lines = append(lines, fmt.Sprintf("%s: and %d more problems", p.file, more))
	}
	return strings.Join(lines, "\n")
}

// quote repeats what the file says, in ASCII and not at length: an error is read
// in a terminal.
func quote(s string) string {
	const most = 80
	quoted := strconv.QuoteToASCII(s)
	if len(quoted) > most {
		return quoted[:most] + `..."`
	}
	return quoted
}

// visible is s with escapes for what a terminal would not show, or would take for
// a command.
func visible(s string) string {
	quoted := strconv.Quote(s)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// printable reports whether s can go to a terminal as it is.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
