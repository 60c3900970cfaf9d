package main

import (
	"os"
	"os/exec"
	"path/filepath"
)

const (
	exporterProgram = "prometheus-blackbox-exporter" // Debian's name
	exporterModule  = "tcp"
	exporterConfig  = `modules:
  tcp:
    prober: tcp
    timeout: 5s
    tcp:
      preferred_ip_protocol: ip4
`
)

// startExporter returns nil where it is not installed.
func startExporter(dir string, r *report) (*process, error) {
	path, err := exec.LookPath(exporterProgram)
	if err != nil {
		r.leaveOut("blackbox_exporter: there is no " + exporterProgram + " (Debian: apt-get install " + exporterProgram + ")")
		return nil, nil //nolint:nilerr,nilnil // that it is not there is the answer
	}
	config := filepath.Join(dir, "exporter.yml")
	if err := os.WriteFile(config, []byte(exporterConfig), 0o600); err != nil {
		return nil, err
	}
	at, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return startProcess("blackbox_exporter", at, path, "--config.file="+config, "--web.listen-address="+at)
}
