package topology

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzParse holds that a file gives either a lab that is sound and can be written
// and read again, or problems that are somewhere in the file.
func FuzzParse(f *testing.F) {
	for _, data := range seeds(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<14 {
			return // the same again, but slowly
		}
		lab, err := Parse("fuzz", data)
		if err != nil {
			checkProblems(t, data, err)
			return
		}
		checkSound(t, lab)
		checkAgain(t, lab)
	})
}

func seeds(tb testing.TB) [][]byte {
	tb.Helper()
	var all [][]byte
	labs, _ := filepath.Glob(examples + "/*.yaml")
	archives, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range labs {
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, data)
	}
	for _, file := range archives {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		for i := 0; i < len(archive.Files); i += 2 {
			all = append(all, archive.Files[i].Data)
		}
	}
	return all
}

func checkProblems(t *testing.T, data []byte, err error) {
	t.Helper()
	var found *problems
	if !errors.As(err, &found) {
		t.Fatalf("%T: %v", err, err)
	}
	lines := 1 + bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) // at most
	for _, p := range found.all {
		if p.line < 1 || p.line > lines || p.column < 1 || p.text == "" {
			t.Errorf("%d:%d: %q, of %d lines", p.line, p.column, p.text, lines)
		}
		if !printable(strings.NewReplacer("\n", "", "\t", "").Replace(p.text)) {
			t.Errorf("%q would do something to a terminal", p.text)
		}
	}
}

// Whatever is cut from a good file or repeated in it, the outcome is one of the
// two.
func TestMutilated(t *testing.T) {
	for _, data := range seeds(t) {
		if len(data) > 1<<13 {
			continue // the same again, but slowly
		}
		lines := bytes.SplitAfter(data, []byte("\n"))
		for i, line := range lines {
			for _, mutilated := range [][]byte{
				bytes.Join(append(lines[:i:i], lines[i+1:]...), nil),
				bytes.Join(append(lines[:i:i], append([][]byte{line}, lines[i:]...)...), nil),
				bytes.Join(append(lines[:i:i], line[:len(line)/2]), nil),
				bytes.Join(append(lines[:i:i], append([][]byte{bytes.TrimSpace(line)}, lines[i+1:]...)...), nil),
			} {
				lab, err := Parse("mutilated", mutilated)
				if err != nil {
					checkProblems(t, mutilated, err)
					continue
				}
				checkSound(t, lab)
				checkAgain(t, lab)
			}
		}
	}
}
