package stage

import (
	"fmt"
	"strings"
)

// listed puts a list into a sentence as a person writes it, each item by the verb:
// 200; 200 and 204; 200, 204 and 301.
func listed[T any](verb string, items []T) string {
	var text strings.Builder
	for i, item := range items {
		switch {
		case i == 0:
		case i == len(items)-1:
			text.WriteString(" and ")
		default:
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, verb, item)
	}
	return text.String()
}
