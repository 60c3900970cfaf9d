package client_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A program that asks a daemon does not link the daemon.
func TestImports(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("*.go")
	must(t, err)
	checked := 0
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		checked++
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		must(t, err)
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			must(t, err)
			for _, denied := range []string{"racer", "server"} {
				if strings.HasPrefix(imported+"/", "github.com/connrace/connrace/"+denied+"/") {
					t.Errorf("%s imports %s; the client only knows the contract", path, imported)
				}
			}
		}
	}
	if checked == 0 {
		t.Error("no files")
	}
}
