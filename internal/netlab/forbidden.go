package netlab

import (
	"fmt"
	"strings"
)

// ForbiddenError says that this system does not let its users make namespaces,
// which setting forbids it, and how to allow it.
type ForbiddenError struct {
	Op     string // what the lab wanted: "make its namespaces"
	Err    error  // the kernel's answer
	Reason string // which setting forbids it
	Remedy string // what to do, in one sentence
}

// Error is one line with all four.
func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("netlab: the lab can't %s: %v: %s; %s", e.Op, e.Err, e.Reason, e.Remedy)
}

// Unwrap returns the kernel's answer.
func (e *ForbiddenError) Unwrap() error { return e.Err }

// settings are what may forbid namespaces, as read from the system. A setting
// that this kernel does not have is "".
type settings struct {
	apparmor string            // kernel.apparmor_restrict_unprivileged_userns
	clone    string            // kernel.unprivileged_userns_clone
	limits   map[string]string // user.max_user_namespaces and the like, by their last part
	seccomp  bool              // a filter of system calls is in place
	root     bool              // the user is root
}

// why picks the setting that forbids namespaces, most specific first, and says
// how to allow them.
func (s settings) why() (reason, remedy string) {
	for _, limit := range limitNames {
		if s.limits[limit] == "0" {
			return "user." + limit + " is 0",
				"allow it as root with `sysctl -w user." + limit + "=1000`"
		}
	}
	switch {
	case s.clone == "0" && !s.root:
		return "kernel.unprivileged_userns_clone is 0",
			"allow it as root with `sysctl -w kernel.unprivileged_userns_clone=1`, or run this as root"
	case s.apparmor != "" && s.apparmor != "0" && !s.root:
		return "AppArmor forbids it: kernel.apparmor_restrict_unprivileged_userns is " + s.apparmor,
			"allow it as root with `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or run this as root"
	case s.seccomp:
		return "a filter of system calls (seccomp) is in place, as in Docker's default profile",
			"start the container with `--security-opt seccomp=unconfined`, on Ubuntu with `--security-opt apparmor=unconfined` too"
	}
	return "none of the known settings does (" + strings.Join(settingNames(), ", ") + ", seccomp)",
		"if this runs in a chroot or under a sandbox, run it outside"
}

// limitNames are the last parts of the sysctls that bound namespaces.
var limitNames = []string{"max_user_namespaces", "max_net_namespaces", "max_mnt_namespaces", "max_pid_namespaces"}

func settingNames() []string {
	names := []string{"kernel.unprivileged_userns_clone", "kernel.apparmor_restrict_unprivileged_userns"}
	for _, limit := range limitNames {
		names = append(names, "user."+limit)
	}
	return names
}
