package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What is no terminal has a fixed width and no colours.
func TestStyleOfFile(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want := style{width: defaultWidth}
	if got := styleOf(file); got != want {
		t.Errorf("a file has the style %+v", got)
	}
	if got := styleOf(new(bytes.Buffer)); got != want {
		t.Errorf("a buffer has the style %+v", got)
	}
}
