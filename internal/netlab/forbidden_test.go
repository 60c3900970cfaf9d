package netlab

import (
	"strings"
	"syscall"
	"testing"
)

// Each setting that forbids namespaces is named, with what to do about it, and
// the most specific one comes first.
func TestForbiddenNamesTheSetting(t *testing.T) {
	none := map[string]string{"max_user_namespaces": "0", "max_net_namespaces": "100"}
	for _, c := range []struct {
		name           string
		found          settings
		reason, remedy string
	}{
		{
			"no user namespaces",
			settings{limits: none, apparmor: "1", seccomp: true},
			"user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces=1000",
		},
		{
			"no network namespaces, not even for root",
			settings{limits: map[string]string{"max_net_namespaces": "0"}, root: true},
			"user.max_net_namespaces is 0", "sysctl -w user.max_net_namespaces=1000",
		},
		{
			"Debian's old switch",
			settings{clone: "0", seccomp: true},
			"kernel.unprivileged_userns_clone is 0", "kernel.unprivileged_userns_clone=1",
		},
		{
			"Ubuntu 24.04 and hosted runners",
			settings{apparmor: "1", clone: "1"},
			"kernel.apparmor_restrict_unprivileged_userns is 1", "kernel.apparmor_restrict_unprivileged_userns=0",
		},
		{
			"Docker on Ubuntu, as root",
			settings{apparmor: "1", seccomp: true, root: true},
			"seccomp", "--security-opt seccomp=unconfined",
		},
		{
			"nothing known",
			settings{apparmor: "0", clone: "1", limits: map[string]string{"max_user_namespaces": "96365"}},
			"none of the known settings", "chroot",
		},
	} {
		reason, remedy := c.found.why()
		if !strings.Contains(reason, c.reason) || !strings.Contains(remedy, c.remedy) {
			t.Errorf("%s: %q; %q; want %q; %q", c.name, reason, remedy, c.reason, c.remedy)
		}
	}
}

func TestForbiddenErrorIsOneLine(t *testing.T) {
	err := &ForbiddenError{Op: "make its namespaces", Err: syscall.EPERM, Reason: "x is 0", Remedy: "set x to 1"}
	if got, want := err.Error(), "netlab: the lab can't make its namespaces: operation not permitted: x is 0; set x to 1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
