package main

import (
	"cmp"
	"testing"
)

func TestCheckListen(t *testing.T) {
	t.Parallel()
	for address, allowed := range map[string]bool{
		"127.0.0.1:8305":        true,
		"127.9.9.9:0":           true,
		"[::1]:8305":            true,
		"[::ffff:127.0.0.1]:80": true,
		"localhost:8305":        true,
		":8305":                 false,
		"0.0.0.0:8305":          false,
		"[::]:8305":             false,
		"[::ffff:0.0.0.0]:8305": false,
		"192.168.1.7:8305":      false,
		"[2001:db8::1]:8305":    false,
		"[fe80::1%eth0]:8305":   false,
		"localhost.example:80":  false,
		"daemon.example:8305":   false,
		"127.1:8305":            false, // a name, for Go
		"127.0.0.1":             false,
		"8305":                  false,
		"":                      false,
	} {
		if err := cmp.Or(checkListen(address), checkReach(address)); (err == nil) != allowed {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// What is an address, of whatever reach, is not refused for its form.
func TestCheckListenForm(t *testing.T) {
	t.Parallel()
	for address, allowed := range map[string]bool{
		":0":                   true,
		"0.0.0.0:8305":         true,
		"[fe80::1%eth0]:8305":  true,
		"daemon.example:65535": true,
		"9front.example:1":     true,
		"127.0.0.1:65536":      false,
		"127.0.0.1:-1":         false,
		"127.0.0.1:http":       false,
		"127.0.0.1:":           false,
		"256.0.0.1:1":          false,
		"127.1:1":              false,
		"1:1":                  false,
		"[::g]:1":              false,
		"[127.0.0.1:80]:1":     false,
	} {
		if err := checkListen(address); (err == nil) != allowed {
			t.Errorf("checkListen(%q): %v", address, err)
		}
	}
}

// Whoever may open a Unix socket may ask; it needs a name in the file system.
func TestCheckListenAtASocket(t *testing.T) {
	t.Parallel()
	for address, allowed := range map[string]bool{
		"unix:/run/connrace.sock": true,
		"unix:connrace.sock":      true,
		"unix:///run/x.sock":      true,
		"unix:":                   false,
		"unix:@abstract":          false,
		"unix":                    false,
	} {
		if err := cmp.Or(checkListen(address), checkReach(address)); (err == nil) != allowed {
			t.Errorf("checkListen(%q): %v", address, err)
		}
	}
}
