//go:build !unix

package admit

// Descriptors returns 0: this system has no limit to ask for.
func Descriptors() (limit int, err error) { return 0, nil }
