package netlab

import (
	"os"
	"strings"
)

// forbidden explains why the system said no to op.
func forbidden(op string, err error) error {
	reason, remedy := readSettings().why()
	return &ForbiddenError{Op: op, Err: err, Reason: reason, Remedy: remedy}
}

func readSettings() settings {
	s := settings{
		apparmor: sysctl("kernel/apparmor_restrict_unprivileged_userns"),
		clone:    sysctl("kernel/unprivileged_userns_clone"),
		limits:   make(map[string]string),
		seccomp:  filtered(),
		root:     max(insider.uid, os.Geteuid()) == 0, // inside, everybody is 0
	}
	for _, limit := range limitNames {
		s.limits[limit] = sysctl("user/" + limit)
	}
	return s
}

// sysctl is "" where the kernel has no such setting.
func sysctl(path string) string {
	value, err := os.ReadFile("/proc/sys/" + path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(value))
}

// filtered reports whether seccomp filters this process's system calls.
func filtered() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if mode, ok := strings.CutPrefix(line, "Seccomp:"); ok {
			return strings.TrimSpace(mode) == "2"
		}
	}
	return false
}
