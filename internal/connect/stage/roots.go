package stage

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/connrace/connrace/internal/hostname"
)

// Limits of roots.
const (
	MaxRootsLength = 256 << 10 // bytes of PEM
	MaxRoots       = 500       // certificates
)

// RootsFromPEM reads trusted roots: one certificate at least, with or without text
// between them. Its error goes on after a field's name and says what is allowed.
func RootsFromPEM(text []byte) (*x509.CertPool, error) {
	if len(text) > MaxRootsLength {
		return nil, fmt.Errorf("has %d bytes; allowed are %d", len(text), MaxRootsLength)
	}
	pool, count, rest := x509.NewCertPool(), 0, text
	for {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		// What is not well-formed is skipped by Decode.
		if bytes.Count(rest[:len(rest)-len(after)], []byte("-----BEGIN ")) != 1 {
			return nil, fmt.Errorf("is broken before the end of block %d; allowed are whole PEM blocks", count+1)
		}
		rest, count = after, count+1
		if count > MaxRoots {
			return nil, fmt.Errorf("has more than %d certificates; allowed are %d", MaxRoots, MaxRoots)
		}
		cert, err := certificateIn(block)
		if err != nil {
			return nil, fmt.Errorf("has in block %d %w; allowed are certificates", count, err)
		}
		pool.AddCert(cert)
	}
	if count == 0 {
		return nil, errors.New(`has no certificate; allowed is PEM, which begins with "-----BEGIN CERTIFICATE-----"`)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("goes on after certificate %d with something else; allowed is nothing more", count)
	}
	return pool, nil
}

func certificateIn(block *pem.Block) (*x509.Certificate, error) {
	if block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("a %s", hostname.Quote(block.Type))
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("a certificate that cannot be read (%s)", printable(err.Error(), maxText))
	}
	return cert, nil
}
