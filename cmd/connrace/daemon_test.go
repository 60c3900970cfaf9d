package main

import "testing"

// What --server takes is what a daemon can be asked at; targets of gRPC's own schemes are
// left to gRPC.
func TestCheckServer(t *testing.T) {
	t.Parallel()
	for address, allowed := range map[string]bool{
		"":                             true, // inside this process
		"127.0.0.1:8305":               true,
		"[::1]:8305":                   true,
		"[fe80::1%eth0]:8305":          true,
		"localhost:8305":               true,
		":8305":                        true, // for gRPC localhost
		"daemon.example:65535":         true,
		"unix:/run/connrace.sock":      true,
		"unix:connrace.sock":           true,
		"unix:///run/connrace.sock":    true,
		"unix:@connrace":               true,
		"unix-abstract:connrace":       true,
		"dns:///daemon.example:8305":   true,
		"DNS:///daemon.example":        true,
		"dns:daemon.example:8305":      true,
		"dns://192.0.2.53/a.example:1": true,
		"passthrough:///[::1]:8305":    true,
		"127.0.0.1":                    false,
		"localhost":                    false,
		"[::1]":                        false,
		"::1":                          false,
		"::1:8305":                     false,
		"8305":                         false,
		"http://127.0.0.1:28305":       false,
		"http://daemon.example":        false,
		"grpc://127.0.0.1:8305":        false,
		"127.0.0.1:0":                  false,
		"127.0.0.1:":                   false,
		"127.0.0.1:99999":              false,
		"127.0.0.1:abc":                false,
		"256.0.0.1:1":                  false,
		"127.1:8305":                   false,
		"unix:":                        false,
		"unix://":                      false,
		"unix://connrace.sock":         false,
		"dns:":                         false,
	} {
		if err := checkServer(address); (err == nil) != allowed {
			t.Errorf("checkServer(%q): %v", address, err)
		}
	}
}
