//go:build !linux

package link

// Main does nothing here: labs need Linux.
func Main() {}
