package topology

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// checkTokens finds what the parser must not see: what a lab does without, and
// what would cost it too much time, memory or stack.
func checkTokens(tokens token.Tokens, found *problems) {
	tokens = slices.DeleteFunc(slices.Clone(tokens), func(tk *token.Token) bool { return tk.Type == token.CommentType })
	checkFeatures(tokens, found)
	checkCount(tokens, found)
	checkDepth(tokens, found)
}

// refused is the YAML that a lab does without.
var refused = map[token.Type]string{
	token.AnchorType:      "the file has an anchor (&); write the value where it is needed",
	token.AliasType:       "the file has an alias (*); write the value itself, in quotes if it begins with *",
	token.MergeKeyType:    "the file has a merge key (<<); write the keys themselves",
	token.TagType:         "the file has a tag (!); leave it out, or put the value in quotes if it begins with !",
	token.MappingKeyType:  "the file has a key after ?; write it as key: value",
	token.DirectiveType:   "the file has a directive (%); leave it out, or put the value in quotes if it begins with %",
	token.DocumentEndType: "the file has an end of document (...); leave it out",
}

func checkFeatures(tokens token.Tokens, found *problems) {
	directive := false // the document begins after it
	for i, tk := range tokens {
		if text, isRefused := refused[tk.Type]; isRefused {
			found.addToken(tk, text)
		}
		directive = directive || tk.Type == token.DirectiveType
		if tk.Type == token.DocumentHeaderType && i > 0 && !directive {
			found.addToken(tk, "the file has a second document (---); give each lab a file of its own")
		}
	}
}

// maxTokens is how many words and signs a file may have, comments aside. The
// parser's time grows with the square of the keys in one mapping; this many take
// it seconds.
const maxTokens = 100_000

func checkCount(tokens token.Tokens, found *problems) {
	if len(tokens) > maxTokens {
		found.addToken(tokens[maxTokens],
			fmt.Sprintf("the file has more than %d words and signs here; a lab is meant to fit on a page", maxTokens))
	}
}

// maxDepth is how deep things stand in each other, counted generously: a key, its
// colon and its value may be three. The parser's time and memory grow with the
// square of it, and its stack with it.
const maxDepth = 100

func checkDepth(tokens token.Tokens, found *problems) {
	var flow int      // brackets and braces that are open
	var columns []int // of what is open outside of them
	for _, tk := range tokens {
		switch tk.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow = max(0, flow-1)
		}
		if flow == 0 {
			columns = append(shallower(columns, tk.Position.Column), tk.Position.Column)
		}
		if flow+len(columns) > maxDepth {
			found.addToken(tk, "the file goes too deep here; no lab needs that many levels")
			return
		}
	}
}

// shallower drops the columns that a token at column closes.
func shallower(columns []int, column int) []int {
	for len(columns) > 0 && columns[len(columns)-1] >= column {
		columns = columns[:len(columns)-1]
	}
	return columns
}

// joinColons mends what the library gets wrong inside braces. There too a colon
// ends a key only before a space or after a quote (YAML 1.2.2 section 7.3.3): the
// 2001:db8::1 in {A: [2001:db8::1]} is one word, which it cuts in three.
func joinColons(tokens token.Tokens) token.Tokens {
	var joined token.Tokens
	for i := 0; i < len(tokens); i++ {
		tk := tokens[i]
		if tk.Type != token.MappingValueType || i+1 == len(tokens) || !touches(tk, tokens[i+1]) || !isPlain(tokens[i+1]) {
			joined.Add(tk)
			continue
		}
		word := token.String(":"+tokens[i+1].Value, tk.Origin+tokens[i+1].Origin, tk.Position)
		switch last := lastOf(joined); {
		case last == nil, opens[last.Type]:
		case isPlain(last) && touches(last, tk):
			word = token.String(last.Value+word.Value, last.Origin+word.Origin, last.Position)
			joined = joined[:len(joined)-1]
		default:
			joined.Add(tk)
			continue
		}
		joined.Add(word)
		i++
	}
	return joined
}

// opens has the tokens after which a word begins.
var opens = map[token.Type]bool{
	token.SequenceStartType: true,
	token.MappingStartType:  true,
	token.CollectEntryType:  true, // the comma
}

func lastOf(tokens token.Tokens) *token.Token {
	if len(tokens) == 0 {
		return nil
	}
	return tokens[len(tokens)-1]
}

// isPlain reports whether tk is a word without quotes.
func isPlain(tk *token.Token) bool {
	return tk.CharacterType == token.CharacterTypeMiscellaneous && tk.Indicator == token.NotIndicator
}

// touches reports whether b follows a, a token of one line, without a space.
func touches(a, b *token.Token) bool {
	return a.Position.Line == b.Position.Line && a.Position.Column+utf8.RuneCountInString(a.Value) == b.Position.Column
}
