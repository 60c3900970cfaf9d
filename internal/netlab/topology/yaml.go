package topology

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

// parse returns the file's content as a tree. The library's own decoder, strict
// or not, stops at its first problem and speaks of Go types; its tree has every
// position, and the rest of this package is as strict.
func parse(data []byte, found *problems) (node, bool) {
	if problem := unreadable(data); problem != "" {
		found.add(1, 1, problem)
		return node{}, false
	}
	tokens := joinColons(lexer.Tokenize(string(data)))
	checkTokens(tokens, found)
	if len(found.all) > 0 {
		return node{}, false
	}
	// Duplicate keys are found later, all of them.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		addSyntax(found, err)
		return node{}, false
	}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			return newNode(doc.Body, found), true
		}
	}
	found.add(1, 1, "the file is empty; write at least hosts: and names:")
	return node{}, false
}

// unreadable says why data can't be YAML, or "".
func unreadable(data []byte) string {
	switch {
	case len(data) > MaxSize:
		return fmt.Sprintf("the file is larger than %d bytes; a lab is meant to fit on a page", MaxSize)
	case !utf8.Valid(data):
		return "the file is not UTF-8 text; save it as UTF-8"
	case strings.HasPrefix(string(data), "\ufeff"):
		return "the file begins with a byte order mark; save it as UTF-8 without one"
	}
	return ""
}

// addSyntax adds the parser's own error, with the lines it shows.
func addSyntax(found *problems, err error) {
	var syntax yaml.Error
	if !errors.As(err, &syntax) || syntax.GetToken() == nil {
		found.add(1, 1, "the file is not valid YAML: "+visible(err.Error()))
		return
	}
	found.addToken(syntax.GetToken(), "the file is not valid YAML here: "+visible(syntax.GetMessage())+excerpt(syntax))
}

// excerpt is the place of a syntax error as the parser draws it, without colours,
// or "" where it would not fit a terminal.
func excerpt(syntax yaml.Error) string {
	_, lines, _ := strings.Cut(syntax.FormatError(false, true), "\n")
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(lines, "\n ")) {
		line = strings.TrimRight(line, "\r\n")
		if len(line) > maxLine || !printable(strings.ReplaceAll(line, "\t", " ")) {
			return ""
		}
		b.WriteString("\n" + line)
	}
	return b.String()
}
