package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	pb "github.com/connrace/connrace/proto/connrace/v1"
)

var update = flag.Bool("update", false, "rewrite the golden files and the scripts")

// TestGolden renders the replies in testdata/golden. Each file has prose, the
// target, the reply as textproto, and what it looks like in several styles:
// "text-100" is 100 columns wide without colours, "color-100" with them, and
// "wide-40" is allowed to be wider than its 40 columns, because the table is.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			golden(t, file)
		})
	}
}

func golden(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var target string
	var reply []byte
	for i, f := range archive.Files {
		switch f.Name {
		case "target":
			target = strings.TrimSpace(string(f.Data))
		case "reply":
			reply = f.Data
		default:
			got := renderGolden(t, filepath.Base(file), target, reply, f.Name)
			if !*update && !bytes.Equal(got, f.Data) {
				t.Errorf("%s is not as in the file; run go test -update and look at what changed.\ngot:\n%s\nwant:\n%s", f.Name, got, f.Data)
			}
			archive.Files[i].Data = got
		}
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// renderGolden chooses the renderer by the first word of the file's name.
func renderGolden(t *testing.T, file, target string, reply []byte, name string) []byte {
	t.Helper()
	kind, width := "", 0
	if _, err := fmt.Sscanf(strings.ReplaceAll(name, "-", " "), "%s %d", &kind, &width); err != nil {
		t.Fatalf("golden file %q is called neither text-WIDTH nor color-WIDTH nor wide-WIDTH", name)
	}
	s := style{width: width, color: kind == "color"}
	var b bytes.Buffer
	switch before, _, _ := strings.Cut(file, "-"); before {
	case "race":
		render(t, &b, reply, new(pb.RaceResponse), target, s, printRace)
	case "rank":
		render(t, &b, reply, new(pb.ResolveAndRankResponse), target, s, printRank)
	case "probe":
		render(t, &b, reply, new(pb.ProbeResponse), target, s, printProbe)
	case "watch":
		render(t, &b, reply, new(pb.WatchProbeResponse), target, s, printWatchRound)
	default:
		t.Fatalf("no renderer for %s", file)
	}
	if kind != "wide" {
		checkLines(t, name, b.String(), width)
	}
	return b.Bytes()
}

func render[M proto.Message](t *testing.T, w io.Writer, reply []byte, m M, target string, s style, printReply func(io.Writer, M, string, style)) {
	t.Helper()
	if err := prototext.Unmarshal(reply, m); err != nil {
		t.Fatal(err)
	}
	printReply(w, m, target, s)
}

var ansi = regexp.MustCompile("\x1b\\[[0-9;]*m")

// checkLines demands that lines are no wider than the style and end in no blank.
func checkLines(t *testing.T, name, text string, width int) {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		line = ansi.ReplaceAllString(line, "")
		if n := columns(line); n > width {
			t.Errorf("%s: %d columns in %q", name, n, line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("%s: blanks at the end of %q", name, line)
		}
	}
}
