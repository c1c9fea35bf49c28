package cluster

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func sleeper(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", "read x"}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	return cmd
}

// A process is known again by pid, start and boot together.
func TestRunning(t *testing.T) {
	r := *runningOf(sleeper(t))
	if !r.alive() {
		t.Fatal("it does not live")
	}
	for name, other := range map[string]running{"another boot": {PID: r.PID, Start: r.Start, Boot: "x"}, "a pid given anew": {PID: r.PID, Start: "1", Boot: r.Boot}, "nobody": {}} {
		if other.alive() {
			t.Errorf("%s passes for it", name)
		}
	}
	adopted := running{PID: r.PID, Start: r.Start, Boot: r.Boot}
	adopted.stop(10 * time.Second)
	if adopted.alive() {
		t.Error("it lives after stop")
	}
	if err := adopted.wait(context.Background()); err == nil {
		t.Error("its end cannot have been clean")
	}
}

// The sweep finds what belongs to a cluster, and nothing of one whose name begins alike.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	c := Config{Name: "a", Root: dir + "/a", Run: dir + "/run/a", Nodes: []string{"n1"}}
	like := Config{Name: "ab", Root: dir + "/ab", Run: dir + "/run/ab", Nodes: []string{"n1"}}
	ours := sleeper(t, "--kubeconfig", c.pki()+"/scheduler.kubeconfig")
	shim := sleeper(t, "-address", c.socket())
	theirs := sleeper(t, "--kubeconfig", like.pki()+"/scheduler.kubeconfig", "-address", like.socket())
	found := map[int]bool{}
	for _, pid := range c.leftovers() {
		found[pid] = true
	}
	if !found[ours.Process.Pid] || !found[shim.Process.Pid] || found[theirs.Process.Pid] || found[os.Getpid()] || len(found) != 2 {
		t.Errorf("found %v; ours are %d and %d, the other's is %d", found, ours.Process.Pid, shim.Process.Pid, theirs.Process.Pid)
	}
}

func TestDaemonsKeepNothingOfTheirCallers(t *testing.T) {
	inherited, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	fd, err := syscall.Dup(int(inherited.Fd())) // without close-on-exec, as what a shell hands down
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	list := exec.Command("ls", "-l", "/proc/self/fd")
	list.SysProcAttr = detached()
	if out, err := list.CombinedOutput(); err != nil || strings.Contains(string(out), inherited.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}
