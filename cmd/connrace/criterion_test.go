package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/connrace/connrace/internal/netlab"
	pb "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
)

// between is what people write into files of certificates: with an accent in Latin-1,
// a rule of dashes, the certificate as text, something in UTF-16, nothing.
var between = []string{
	"# Issuer: M\xfcller Sign\xe9\n", "-----------------\n", "Certificate:\r\n    Data:\r\n\tVersion: 3 (0x2)\r\n",
	"\xff\xfe-\x00-\x00\n", "\n\n", "",
}

// Whatever stands between certificates, they arrive, and nothing else does.
func TestCAFileHasTextBetween(t *testing.T) {
	t.Parallel()
	const seed = 5
	lots := rand.New(rand.NewPCG(seed, seed))
	for range 50 {
		var file, want bytes.Buffer
		for range 1 + lots.IntN(4) {
			authority, err := netlab.NewAuthority()
			if err != nil {
				t.Fatal(err)
			}
			file.WriteString(between[lots.IntN(len(between))])
			file.Write(authority.PEM())
			want.Write(authority.PEM())
		}
		file.WriteString(between[lots.IntN(len(between))])
		if got := trusted(t, file.Bytes()); got != want.String() {
			t.Fatalf("of\n%q\nis sent\n%q\nwant\n%q", file.String(), got, want.String())
		}
	}
}

// What a daemon would complain of is not left out: it may be a certificate in which
// somebody trusts.
func TestCAFileThatIsBroken(t *testing.T) {
	t.Parallel()
	authority, err := netlab.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	good := string(authority.PEM())
	half, indented := good[:len(good)/2], " "+strings.ReplaceAll(strings.TrimSpace(good), "\n", "\n ")+"\n"
	_, headless, _ := strings.Cut(good, "\n")
	for _, file := range []string{
		half, good + half, half + "\n" + good, half + "text\n" + good, indented, good + indented, indented + good,
		headless, good + headless, good + "-----BEGIN CERTIFICATE-----", good + "-----BEGIN ", good + "> " + half,
	} {
		sent := trusted(t, []byte(file))
		if _, err := racer.RootsFromPEM([]byte(sent)); err == nil {
			t.Errorf("of\n%s\nis sent\n%s\nwhich a daemon takes", file, sent)
		}
	}
}

// What does not get to the daemon as it is, is refused here: by bounds that are the
// daemon's own.
func TestCAFileThatIsNotSent(t *testing.T) {
	t.Parallel()
	const begin = "-----BEGIN CERTIFICATE-----\n"
	most := begin + strings.Repeat("A", maxRootBytes-len(begin))
	for text, wants := range map[string]string{
		"":                    `has no certificate; allowed is PEM, which begins with "-----BEGIN CERTIFICATE-----"`,
		"M\xfcller\n":         "has no certificate",
		begin + "M\xfcller\n": "has bytes inside a certificate that are not text; allowed is PEM, which is ASCII",
		most + "A":            "has 262145 bytes; allowed are 262144, beside text between the certificates: leave out ",
	} {
		file := caFile(t, []byte(text))
		err := (&criterionFlags{TLS: true, CAFile: file}).tls(new(pb.SuccessCriterion))
		if want := "--ca-file: " + file + " " + wants; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("of %.50q: %v, want %s", text, err, want)
		}
	}
	if sent := trusted(t, []byte("# "+strings.Repeat("long ", maxRootBytes)+"\n"+most)); sent != most {
		t.Errorf("of %d bytes behind a long text %d are sent", len(most), len(sent))
	}
	for n, says := range map[int]string{maxRootBytes: "no certificate", maxRootBytes + 1: fmt.Sprintf("allowed are %d", maxRootBytes)} {
		if _, err := racer.RootsFromPEM(bytes.Repeat([]byte(" "), n)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("a daemon says of %d bytes: %v, want %q in it", n, err, says)
		}
	}
}

// trusted is what is sent of a file of certificates.
func trusted(t *testing.T, file []byte) string {
	t.Helper()
	var m pb.SuccessCriterion
	if err := (&criterionFlags{TLS: true, CAFile: caFile(t, file)}).tls(&m); err != nil {
		t.Fatalf("%v\nof\n%s", err, file)
	}
	return m.GetTls().GetRootCertificatesPem()
}

func caFile(t *testing.T, text []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
