package sched

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pureUses are the packages that may be imported, and of those that could do I/O
// or ask a clock the names that may be used.
var pureUses = map[string][]string{
	"cmp":       nil,
	"fmt":       {"Fprintf", "Sprintf"}, // Fprintf to a strings.Builder
	"maps":      nil,
	"math":      nil,
	"net/netip": nil,
	"slices":    nil,
	"strings":   nil,
	"time":      {"Duration", "Millisecond", "Second", "Time"},
	"github.com/connrace/connrace/racer/addrsel": nil,
}

// TestPure holds the package to its contract: no I/O, no clock, no goroutine.
func TestPure(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	if len(names) == 0 {
		t.Fatal("no files")
	}
	files := token.NewFileSet()
	for _, name := range names {
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		checkImports(t, name, file)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", files.Position(n.Pos()))
			case *ast.SelectorExpr:
				if !mayUse(n) {
					t.Errorf("%s uses %s.%s", files.Position(n.Pos()), n.X, n.Sel)
				}
			}
			return true
		})
	}
}

func checkImports(t *testing.T, name string, file *ast.File) {
	t.Helper()
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if _, allowed := pureUses[path]; err != nil || !allowed || spec.Name != nil {
			t.Errorf("%s imports %s", name, spec.Path.Value)
		}
	}
}

// mayUse looks at the names of packages of one element only; the others may be
// used as a whole.
func mayUse(n *ast.SelectorExpr) bool {
	x, ok := n.X.(*ast.Ident)
	if !ok {
		return true
	}
	names := pureUses[x.Name]
	return len(names) == 0 || slices.Contains(names, n.Sel.Name)
}
