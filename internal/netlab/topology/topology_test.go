package topology

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the results into testdata instead of comparing")

// A file of testdata has pairs: x.yaml is parsed, and x.txt is what comes out. For
// a file without a problem that is the same lab with every default written out,
// else the problems.
func TestTestdata(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(archive.Files); i += 2 {
				checkPair(t, archive.Files[i:])
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func checkPair(t *testing.T, files []txtar.File) {
	t.Helper()
	name, isInput := strings.CutSuffix(files[0].Name, ".yaml")
	if !isInput || len(files) < 2 || files[1].Name != name+".txt" {
		t.Fatalf("%s does not begin a pair of .yaml and .txt", files[0].Name)
	}
	got := outcome(t, files[0].Name, files[0].Data)
	if *update {
		files[1].Data = []byte(got)
	}
	if want := string(files[1].Data); got != want {
		t.Errorf("%s:\n%s\ngives\n%s\nwant\n%s", name, files[0].Data, got, want)
	}
}

func outcome(t *testing.T, name string, data []byte) string {
	t.Helper()
	topology, err := Parse(name, data)
	if err != nil {
		return err.Error() + "\n"
	}
	checkAgain(t, topology)
	return printed(topology)
}

// checkAgain holds that a topology survives being written and read.
func checkAgain(t *testing.T, want *Topology) {
	t.Helper()
	again, err := Parse("printed", []byte(printed(want)))
	if err != nil {
		t.Fatalf("its own print:\n%s\n%v", printed(want), err)
	}
	if !reflect.DeepEqual(again, want) {
		t.Errorf("read again:\n%s\nwant\n%s", printed(again), printed(want))
	}
}

const examples = "../../../examples/lab"

// The examples are what users begin with: each says at its head what it shows,
// how it is run, and only things that are reserved for documentation.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob(examples + "/*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			lab, err := Load(file)
			if err != nil {
				t.Fatal(err)
			}
			checkAgain(t, lab)
			checkSound(t, lab)
			checkDocumentation(t, lab)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			command := "connrace lab examples/lab/" + filepath.Base(file) + " -- "
			if text := string(data); !strings.HasPrefix(text, "# ") || !strings.Contains(text, command) || lab.About == "" {
				t.Errorf("it lacks its head, the command %q or about", command)
			}
		})
	}
}

var documentation = regexp.MustCompile(`^(192\.0\.2|198\.51\.100|203\.0\.113)\.|^2001:db8:`)

func checkDocumentation(t *testing.T, lab *Topology) {
	t.Helper()
	known := make(map[string]bool)
	for _, h := range lab.Hosts {
		for _, addr := range h.Addresses {
			known[addr.String()] = true
			if !documentation.MatchString(addr.String()) {
				t.Errorf("%v is not reserved for documentation", addr)
			}
		}
	}
	for _, n := range lab.Names {
		if !strings.HasSuffix(n.Name, ".example") {
			t.Errorf("%s is not reserved for documentation", n.Name)
		}
		for _, a := range []*Answer{n.A, n.AAAA} {
			if a == nil {
				continue
			}
			for _, addr := range a.Addresses {
				if !known[addr.String()] {
					t.Errorf("%s has %v, which no host has", n.Name, addr)
				}
			}
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.yaml")
	bad := filepath.Join(dir, "bad.yaml")
	for file, text := range map[string]string{good: "seed: 7\n", bad: "seed: x\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if lab, err := Load(good); err != nil || lab.Seed != 7 {
		t.Errorf("Load = %v, %v; want seed 7", lab, err)
	}
	if _, err := Load(bad); err == nil || !strings.HasPrefix(err.Error(), bad+":1:7: seed is \"x\"; ") {
		t.Errorf("Load = %v, want a problem at %s:1:7", err, bad)
	}
	if _, err := Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load = %v, want fs.ErrNotExist", err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("Load of a directory gives no error")
	}
}

func TestSize(t *testing.T) {
	fits := "seed: 7\n" + "#" + strings.Repeat("x", MaxSize-len("seed: 7\n#"))
	if len(fits) != MaxSize {
		t.Fatalf("%d bytes", len(fits))
	}
	if _, err := Parse("x", []byte(fits)); err != nil {
		t.Errorf("%d bytes: %v", MaxSize, err)
	}
	const want = "x:1:1: the file is larger than 1048576 bytes; a lab is meant to fit on a page"
	if _, err := Parse("x", []byte(fits+"x")); err == nil || err.Error() != want {
		t.Errorf("one byte more: %v", err)
	}
	file := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(file, []byte(fits+"x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("one byte more, loaded: %v", err)
	}
}

func TestTokens(t *testing.T) {
	comma := strings.Repeat("1,", maxTokens/2)
	if _, err := Parse("x", []byte("about: ["+comma)); err == nil || !strings.Contains(err.Error(), "the file has more than 100000 words and signs here; ") {
		t.Errorf("%.200v", err)
	}
	if _, err := Parse("x", []byte("about: ["+comma[:len(comma)-8]+"]"+strings.Repeat("#\n", 9))); err == nil || err.Error() != "x:1:8: about is a list; write a text" {
		t.Errorf("%.200v", err)
	}
}

// What would take the parser's time, memory or stack with it is seen before.
func TestDepth(t *testing.T) {
	const size = 1 << 16
	var block strings.Builder
	for level := range 1000 {
		block.WriteString(strings.Repeat(" ", level) + "a:\n")
	}
	for name, text := range map[string]string{
		"lists":    strings.Repeat("[", size),
		"mappings": strings.Repeat("{a: ", size/4),
		"mixed":    strings.Repeat("a: [\n", size/5),
		"entries":  strings.Repeat("- ", size/2),
		"block":    block.String(),
	} {
		if _, err := Parse("x", []byte(text)); err == nil || !strings.Contains(err.Error(), "the file goes too deep here") {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

// Labs that are larger than any in use are no deeper.
func TestLargeLab(t *testing.T) {
	var b strings.Builder
	b.WriteString("hosts:\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "  - {address: 198.51.%d.%d, delay: 1ms, ports: {80: http}}\n", 100+i/250, i%250)
	}
	b.WriteString("names:\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "  site%d.example: {AAAA: {addresses: [2001:db8::%x], then: {drop: true, then: []}}}\n", i, i)
	}
	lab, err := Parse("x", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if len(lab.Hosts) != 2000 || len(lab.Names) != 2000 {
		t.Errorf("%d hosts, %d names", len(lab.Hosts), len(lab.Names))
	}
	checkSound(t, lab)
}

func TestNoText(t *testing.T) {
	for text, want := range map[string]string{
		"seed: \xff":                         "x:1:1: the file is not UTF-8 text; save it as UTF-8",
		"\ufeffseed: 7":                      "x:1:1: the file begins with a byte order mark; save it as UTF-8 without one",
		"s\x00e\x1b: 7":                      `x:1:1: the file has no key "s\x00e\x1b"; its keys are about, seed, client, resolver, hosts, names`,
		"seed: \"\\\x1b\"":                   `x:1:9: the file is not valid YAML here: found unknown escape character '\x1b'`,
		"seed: [" + strings.Repeat("7", 300): "x:1:7: the file is not valid YAML here: sequence end token ']' not found",
	} {
		if _, err := Parse("x", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestManyProblems(t *testing.T) {
	_, err := Parse("x", []byte("hosts:\n"+strings.Repeat("  - {}\n", maxProblems+7)))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxProblems+1 || lines[maxProblems] != "x: and 7 more problems" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}
