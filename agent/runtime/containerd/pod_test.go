package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/logs"
	"optimist/agent/runtime"
)

// patience is for machines that are busy with something else.
const patience = 60 * time.Second

func id(pod types.UID, name string) runtime.ContainerID {
	return runtime.ContainerID{Pod: pod, Name: name}
}

func sandbox(pod types.UID) runtime.SandboxSpec {
	return runtime.SandboxSpec{Pod: pod, Namespace: "default", Name: string(pod), Hostname: "host-" + string(pod)}
}

// run starts a container in its pod.
func run(t testing.TB, r *Runtime, spec runtime.ContainerSpec) {
	t.Helper()
	must(r.StartSandbox(t.Context(), sandbox(spec.ID.Pod)))(t)
	check(t, r.StartContainer(t.Context(), spec))
}

func find(t testing.TB, r *Runtime, id runtime.ContainerID) runtime.Container {
	t.Helper()
	for _, box := range must(r.State(t.Context()))(t) {
		for _, c := range box.Containers {
			if c.ID == id {
				return c
			}
		}
	}
	t.Fatalf("container %s is not in State", id)
	return runtime.Container{}
}

// exited waits for the container's end.
func exited(t testing.TB, r *Runtime, id runtime.ContainerID) runtime.Container {
	t.Helper()
	var c runtime.Container
	eventually(t, "exit of "+id.String(), func() bool {
		c = find(t, r, id)
		return c.Phase == runtime.Exited
	})
	return c
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("never: %s", what)
		}
	}
}

// printed runs a script to its end and returns what it printed.
func printed(t testing.TB, r *Runtime, spec runtime.ContainerSpec) string {
	t.Helper()
	run(t, r, spec)
	exited(t, r, spec.ID)
	return logOf(t, spec)
}

func logOf(t testing.TB, spec runtime.ContainerSpec) string {
	t.Helper()
	var out bytes.Buffer
	check(t, logs.Print(logs.Lines(t.Context(), spec.LogPath, nil, false, nil), logs.Options{}, &out, &out))
	return out.String()
}

func TestPodsFiles(t *testing.T) {
	r := newMachine(t).node(t)
	box := sandbox("p1")
	box.Hosts, box.ResolvConf = "early\n", "nameserver 10.8.8.8\n"
	must(r.StartSandbox(t.Context(), box))(t)
	if got := printed(t, r, sh(r, id("p1", "early"), "echo shared >/dev/shm/f; cat /etc/hosts /etc/resolv.conf")); got != "early\nnameserver 10.8.8.8\n" {
		t.Errorf("before its address the pod saw %q", got)
	}
	check(t, r.SetAddress(t.Context(), "p1", netip.MustParseAddr("10.1.2.3"), "10.1.2.3\thost-p1\n"))
	own := filepath.Join(t.TempDir(), "resolv.conf")
	check(t, os.WriteFile(own, []byte("nameserver 10.9.9.9\n"), 0o600))
	spec := sh(r, id("p1", "reader"), "cat /dev/shm/f; hostname; cat /etc/hostname; echo $HOSTNAME $A; grep host-p1 /etc/hosts; cat /etc/resolv.conf; ip link show lo | grep -o LOWER_UP; pwd")
	spec.Mounts = []runtime.Mount{{Host: own, Container: "/etc/resolv.conf", ReadOnly: true}}
	spec.Env = []string{"A=b"}
	spec.WorkingDir = "/tmp"
	want := "shared\nhost-p1\nhost-p1\nhost-p1 b\n10.1.2.3\thost-p1\nnameserver 10.9.9.9\nLOWER_UP\n/tmp\n"
	if got := printed(t, r, spec); got != want {
		t.Errorf("the pod saw\n%s\nwant\n%s", got, want)
	}
}

func TestConfinement(t *testing.T) {
	r := newMachine(t).node(t)
	for name, test := range map[string]struct {
		script, want string
		change       func(*runtime.ContainerSpec)
	}{
		"root": {"id -u; touch /x && echo written; hostname x 2>/dev/null || echo refused", "0\nwritten\nrefused\n", func(*runtime.ContainerSpec) {}},
		"readonly": {"touch /x 2>/dev/null || echo refused; touch /dev/shm/x && echo written", "refused\nwritten\n",
			func(s *runtime.ContainerSpec) { s.ReadOnlyRoot = true }},
		"user":       {"id -u; id -g", "1000\n2000\n", func(s *runtime.ContainerSpec) { s.User = "1000:2000" }},
		"privileged": {"mount -t tmpfs x /tmp && echo mounted", "mounted\n", func(s *runtime.ContainerSpec) { s.Privileged = true }},
		"tty":        {"tty", "/dev/pts/0\r\n", func(s *runtime.ContainerSpec) { s.TTY = true }},
	} {
		t.Run(name, func(t *testing.T) {
			spec := sh(r, id("p1", name), test.script)
			test.change(&spec)
			if got := printed(t, r, spec); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestHostNetworkIsTheAgents(t *testing.T) {
	r := newMachine(t).node(t)
	box := sandbox("p1")
	box.HostNetwork = true
	if got := must(r.StartSandbox(t.Context(), box))(t); got.NetNS != "" {
		t.Errorf("a host-network pod has the namespace %s", got.NetNS)
	}
	ours := must(os.Readlink("/proc/self/ns/net"))(t)
	if got := printed(t, r, sh(r, id("p1", "c"), "readlink /proc/self/ns/net")); got != ours+"\n" {
		t.Errorf("namespace %s, the agent's is %s", got, ours)
	}
}

func TestExec(t *testing.T) {
	r := newMachine(t).node(t)
	run(t, r, sh(r, id("p1", "c"), "trap 'exit 0' TERM; while :; do sleep 0.1; done"))
	exec := func(p runtime.Process) (stdout, stderr string, code int, err error) {
		var out, errs bytes.Buffer
		p.Stdout, p.Stderr = &out, &errs
		code, err = r.Exec(t.Context(), id("p1", "c"), p)
		return out.String(), errs.String(), code, err
	}
	big := strings.Repeat("0123456789", 50_000) // more than a pipe holds
	resize := make(chan runtime.Size, 1)
	resize <- runtime.Size{Width: 100, Height: 40}
	for _, test := range []struct {
		sentence       string
		process        runtime.Process
		stdout, stderr string
		code           int
	}{
		{"streams and code", runtime.Process{Command: []string{"sh", "-c", "echo out; echo err >&2; exit 7"}}, "out\n", "err\n", 7},
		{"the end of stdin reaches the process", runtime.Process{Command: []string{"cat"}, Stdin: strings.NewReader(big)}, big, "", 0},
		{"an empty stdin, too", runtime.Process{Command: []string{"cat"}, Stdin: strings.NewReader("")}, "", "", 0},
		{"a terminal, resized", runtime.Process{Command: []string{"sh", "-c", "until stty size 2>/dev/null | grep -q '40 100'; do sleep 0.05; done; stty size; echo $TERM"},
			TTY: true, Resize: resize}, "40 100\r\nxterm\r\n", "", 0},
	} {
		out, errs, code, err := exec(test.process)
		if err != nil || out != test.stdout || errs != test.stderr || code != test.code {
			t.Errorf("%s: %.60q %q %d %v", test.sentence, out, errs, code, err)
		}
	}
	if _, _, _, err := exec(runtime.Process{Command: []string{"/no/such"}}); !errors.Is(err, runtime.ErrCannotRun) {
		t.Errorf("missing command: %v", err)
	}
	for patience := time.Duration(20); patience <= 300; patience += 20 { // ends while runc still starts the process, or later
		ctx, cancel := context.WithTimeout(t.Context(), patience*time.Millisecond)
		defer cancel()
		if _, err := r.Exec(ctx, id("p1", "c"), runtime.Process{Command: []string{"sleep", "1000"}, Stdin: neverEnds{t.Context()}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("exec whose context ended: %v", err)
		}
	}
	if left, _, _, _ := exec(runtime.Process{Command: []string{"pidof", "sleep"}}); strings.Contains(left, " ") {
		t.Errorf("the cancelled process runs on: %s", left)
	}
	rest, _ := os.ReadDir(filepath.Join(r.cfg.Root, "exec"))
	if len(rest) > 0 {
		t.Errorf("%d folders of pipes are left", len(rest))
	}
}

// neverEnds is a terminal at which nobody types.
type neverEnds struct{ ctx context.Context }

func (n neverEnds) Read([]byte) (int, error) {
	<-n.ctx.Done()
	return 0, io.EOF
}

func TestLimitsAndOOM(t *testing.T) {
	r := newMachine(t).node(t)
	measured := sh(r, id("p1", "measured"), "while :; do sleep 1; done")
	measured.Limits = runtime.Limits{CPUShares: 512, CPUQuota: 50_000, MemoryBytes: 256 << 20}
	run(t, r, measured)
	one := filepath.Join(cgroupMount, "*", r.cgroupOf(measured.ID)) // of version 1's trees
	two := filepath.Join(cgroupMount, r.cgroupOf(measured.ID))
	for want, files := range map[string][]string{"50000": {one + "/cpu.cfs_quota_us", two + "/cpu.max"}, "268435456": {one + "/memory.limit_in_bytes", two + "/memory.max"}} {
		found := append(must(filepath.Glob(files[0]))(t), must(filepath.Glob(files[1]))(t)...)
		if len(found) == 0 {
			t.Fatalf("no file %s", files)
		}
		if got := string(must(os.ReadFile(found[0]))(t)); !strings.HasPrefix(got, want) {
			t.Errorf("%s = %s, want %s", found[0], got, want)
		}
	}
	hog := "exec tail -n 1 /dev/zero" // tail holds its last line, all of it
	greedy := sh(r, id("p1", "greedy"), hog)
	careful := sh(r, id("p1", "careful"), "(echo 1000 >/proc/self/oom_score_adj; "+hog+"); exit 0") // the kernel shall choose the child
	for _, spec := range []runtime.ContainerSpec{greedy, careful} {
		spec.Limits.MemoryBytes = 32 << 20
		run(t, r, spec)
	}
	if c := exited(t, r, greedy.ID); c.ExitCode != 137 || c.Reason != "OOMKilled" {
		t.Errorf("greedy = %+v", c)
	}
	if c := exited(t, r, careful.ID); c.ExitCode != 0 || c.Reason != "Completed" {
		t.Errorf("careful, who only lost a child = %+v", c)
	}
}

func TestManyPodsAtOnce(t *testing.T) {
	r := newMachine(t).node(t)
	const pods = 12
	var group errgroup.Group
	for i := range pods {
		pod := types.UID("p" + strconv.Itoa(i))
		group.Go(func() error {
			if _, err := r.StartSandbox(t.Context(), sandbox(pod)); err != nil {
				return err
			}
			return r.StartContainer(t.Context(), sh(r, id(pod, "c"), fmt.Sprintf("exit %d", i)))
		})
		group.Go(func() error { _, err := r.State(t.Context()); return err }) // a look must disturb nothing
	}
	check(t, group.Wait())
	for i := range pods {
		if c := exited(t, r, id(types.UID("p"+strconv.Itoa(i)), "c")); c.ExitCode != i {
			t.Errorf("pod %d exited with %d", i, c.ExitCode)
		}
	}
}

func TestTwoNodesOnOneContainerd(t *testing.T) {
	m := newMachine(t)
	n1, n2 := m.node(t), m.node(t)
	for _, r := range []*Runtime{n1, n2} {
		run(t, r, sh(r, id("p1", "c"), "sleep 1000"))
	}
	check(t, n1.RemoveSandbox(t.Context(), "p1"))
	if c := find(t, n2, id("p1", "c")); c.Phase != runtime.Running {
		t.Errorf("the other node's container = %+v", c)
	}
}
