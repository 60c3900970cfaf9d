package topology

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// node is a place of the file: a value, and the way to it. The zero node is that
// of a key which was left out: it reads as the default and is never a problem.
type node struct {
	value        ast.Node
	line, column int
	path         string // "hosts[0].delay"; "" is the whole file
	found        *problems
}

func newNode(root ast.Node, found *problems) node {
	n := node{value: root, found: found}
	n.line, n.column = position(root)
	return n
}

// given reports whether the file has the key.
func (n node) given() bool { return n.value != nil }

// problemf adds what is wrong with n: a predicate, after the key.
func (n node) problemf(format string, args ...any) {
	what := n.path
	if what == "" {
		what = "the file"
	}
	n.found.add(n.line, n.column, what+" "+fmt.Sprintf(format, args...))
}

// wrong adds that n does not hold what it should.
func (n node) wrong(advice string) { n.problemf("%s; %s", n.holds(), advice) }

// holds says what n is, as a predicate.
func (n node) holds() string {
	switch n.value.(type) {
	case *ast.NullNode:
		return "has no value"
	case ast.MapNode:
		return "is a mapping (key: value)"
	case *ast.SequenceNode:
		return "is a list"
	}
	text, _ := n.text()
	return "is " + quote(text)
}

// text is what a scalar says, whatever it looks like and with whatever quotes.
func (n node) text() (string, bool) {
	switch v := n.value.(type) {
	case *ast.NullNode:
		return "", false
	case *ast.LiteralNode:
		return v.Value.Value, true
	case ast.ScalarNode:
		return v.GetToken().Value, true
	}
	return "", false
}

// isMapping reports whether n is given as key: value.
func (n node) isMapping() bool {
	_, ok := n.value.(ast.MapNode)
	return ok
}

func (n node) isEmptyList() bool {
	s, ok := n.value.(*ast.SequenceNode)
	return ok && len(s.Values) == 0
}

func (n node) isEmptyMapping() bool {
	m, ok := n.value.(*ast.MappingNode)
	return ok && len(m.Values) == 0
}

// orEmpty is n, or the zero node where the key stands without a value: for keys
// that say enough by being there.
func (n node) orEmpty() node {
	if _, empty := n.value.(*ast.NullNode); empty {
		return node{}
	}
	return n
}

// pair is one key and its value. The key is a place too: of its value, but where
// the key stands.
type pair struct {
	name       string
	key, value node
}

// keys reads a mapping whose keys are among names, and returns the value of each
// key that is there.
func (n node) keys(names ...string) map[string]node {
	values := make(map[string]node)
	for _, p := range n.pairs("write it as key: value, with the keys " + strings.Join(names, ", ")) {
		if !slices.Contains(names, p.name) {
			parent := p.key
			parent.path = n.path
			parent.problemf("has no key %s; its keys are %s", quote(p.name), strings.Join(names, ", "))
			continue
		}
		values[p.name] = p.value
	}
	return values
}

// pairs reads a mapping, in the order of the file; of equal keys only the first.
func (n node) pairs(advice string) []pair {
	if !n.given() {
		return nil
	}
	m, ok := n.value.(ast.MapNode)
	if !ok {
		n.wrong(advice)
		return nil
	}
	var pairs []pair
	first := make(map[string]int) // lines
	for i := m.MapRange(); i.Next(); {
		p := n.pair(i.KeyValue())
		if line, twice := first[p.name]; twice {
			p.key.problemf("is there a second time, first in line %d; keep one of them", line)
			continue
		}
		first[p.name] = p.key.line
		pairs = append(pairs, p)
	}
	return pairs
}

func (n node) pair(kv *ast.MappingValueNode) pair {
	name := kv.Key.GetToken().Value // without quotes
	key := node{value: kv.Key, path: n.path + step(n.path, name), found: n.found}
	key.line, key.column = position(kv.Key)
	value := key
	value.value = kv.Value
	if _, empty := kv.Value.(*ast.NullNode); !empty { // it has no place of its own
		value.line, value.column = position(kv.Value)
	}
	return pair{name: name, key: key, value: value}
}

// step is how a key continues a path.
func step(path, key string) string {
	plain := key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !letter && !strings.ContainsRune("0123456789._-*", r)
	})
	switch {
	case !plain || len(key) > 80:
		return "[" + quote(key) + "]"
	case path == "":
		return key
	}
	return "." + key
}

// list reads a list; advice is what to write instead of anything else.
func (n node) list(advice string) []node {
	if !n.given() {
		return nil
	}
	s, ok := n.value.(*ast.SequenceNode)
	if !ok {
		n.wrong(advice)
		return nil
	}
	elements := make([]node, 0, len(s.Values))
	for i, v := range s.Values {
		e := node{value: v, path: n.path + "[" + strconv.Itoa(i) + "]", found: n.found}
		e.line, e.column = position(v)
		elements = append(elements, e)
	}
	return elements
}

// position is where a value begins.
func position(v ast.Node) (line, column int) {
	if m, ok := v.(ast.MapNode); ok && !isFlow(v) {
		// The library's place of a block is its first colon.
		if i := m.MapRange(); i.Next() {
			return position(i.Key())
		}
	}
	at := v.GetToken().Position
	return at.Line, at.Column
}

func isFlow(v ast.Node) bool {
	m, ok := v.(*ast.MappingNode)
	return ok && m.IsFlowStyle
}
