package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is where a run was.
type machine struct {
	Cores     int    `json:"cores"`
	Processor string `json:"processor"`
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
}

func (m machine) String() string {
	return fmt.Sprintf("%d cores (%s), Linux %s, %s", m.Cores, m.Processor, m.Kernel, m.Go)
}

func thisMachine() machine {
	m := machine{Cores: runtime.NumCPU(), Processor: processor(), Go: runtime.Version()}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	return m
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // without it the processor is not known
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
