// Package topology reads the file that describes a lab: hosts with their paths
// and ports, and names with their answers.
//
//	t, err := topology.Load("examples/lab/broken-v6.yaml")
//
// It opens no sockets and starts nothing; what it returns are plain values that
// have been checked, with every default filled in. An error lists the problems of
// the whole file, in its order, one a line: where, which key, what it holds, what
// to write instead.
//
// The file is YAML without what one page does not need: no anchors, tags, merge
// keys or second documents. The key alone decides what a value is, so quotes
// never change a meaning: 80 and "80" are the same port.
package topology

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
)

// MaxSize is the size of a file in bytes that is still read.
const MaxSize = 1 << 20

// Topology is what a file says.
type Topology struct {
	// About is one line about what the lab shows; "" if the file does not say.
	About string

	// Seed is the luck of loss and jitter. Default 0, a seed like any other.
	Seed uint64

	// Client holds the client host's address and prefix length, at most one for
	// each family and at least one; the host lacks a family that is left out.
	// Default: see [DefaultClient].
	Client []netip.Prefix

	// Resolver is the lab's DNS server.
	Resolver Resolver

	// Hosts are in the order of the file. No address is in two of them, and none
	// is the resolver's.
	Hosts []Host

	// Names are in the order of the file, each once.
	Names []Name
}

// Load reads the file at path.
func Load(path string) (*Topology, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse reads the file with the given content; name is what problems call it.
func Parse(name string, data []byte) (*Topology, error) {
	found := &problems{file: name}
	root, ok := parse(data, found)
	if !ok {
		return nil, found.err()
	}
	t := readTopology(root)
	if err := found.err(); err != nil {
		return nil, err
	}
	return t, nil
}

// readTopology reads the keys in the order in which they depend on each other.
func readTopology(root node) *Topology {
	keys := root.keys("about", "seed", "client", "resolver", "hosts", "names")
	addresses := readClient(keys["client"])
	t := &Topology{
		About:    scalar(keys["about"], "", parseLine),
		Seed:     keys["seed"].number(0, 1<<64-1, 0),
		Client:   addresses.client,
		Resolver: readResolver(keys["resolver"], keys["client"], addresses),
		Hosts:    readHosts(keys["hosts"], addresses),
		Names:    readNames(keys["names"]),
	}
	t.nameCertificates()
	return t
}

// parseLine holds that a text can be shown in a terminal as one line.
func parseLine(text string) (string, error) {
	if !printable(text) {
		return "", errors.New("write one line of text without control characters")
	}
	if len(text) > maxLine {
		return "", fmt.Errorf("it has %d bytes; write at most %d", len(text), maxLine)
	}
	return text, nil
}

// maxLine is the length of Topology.About, in bytes.
const maxLine = 200
