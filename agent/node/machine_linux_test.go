package node

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAddress(t *testing.T) {
	if os.Getuid() != 0 || os.Getenv("OPTIMIST_NO_ROOT") != "" {
		t.Skip("NOT TESTED: a network namespace needs root")
	}
	runtime.LockOSThread() // ends with the test, and the namespace with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why, commands, current, want string
	}{
		{"a machine without a network", "", "", "127.0.0.1"},
		{"the first", "link add d2 type veth peer name d1; link set d1 up; link set d2 up; addr add 10.1.0.2/24 dev d1; addr add 10.2.0.2/24 dev d2", "", "10.1.0.2"},
		{"that of the way out", "route add default via 10.2.0.1", "", "10.2.0.2"},
		{"the one that it has is not changed for a better", "", "10.1.0.2", "10.1.0.2"},
		{"but when it has gone", "addr del 10.1.0.2/24 dev d1", "10.1.0.2", "10.2.0.2"},
		{"a link that is down has none", "link set d2 down", "10.2.0.2", "127.0.0.1"},
	} {
		for line := range strings.SplitSeq(c.commands, "; ") {
			if line == "" {
				continue
			}
			if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v: %s", line, err, out)
			}
		}
		if got := Address(c.current); got != c.want {
			t.Errorf("%s: %s, want %s", c.why, got, c.want)
		}
		if err := Check(c.want); (err == nil) != (c.want != "127.0.0.1") {
			t.Errorf("%s: Check(%s): %v", c.why, c.want, err)
		}
	}
	if err := Check("10.9.9.9"); err == nil || err.Error() != `"10.9.9.9" is no IPv4 address of this machine that others could reach; it has none` {
		t.Error(err)
	}
}
