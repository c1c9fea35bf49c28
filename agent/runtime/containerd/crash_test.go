package containerd

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
)

// Containers outlive containerd, and so does what they print; exits meanwhile keep their code.
func TestContainerdRestart(t *testing.T) {
	m := newMachine(t)
	r := m.node(t)
	long := sh(r, id("p1", "long"), "trap 'echo bye; exit 0' TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done")
	short := sh(r, id("p1", "short"), "until [ -e /dev/shm/go ]; do sleep 0.02; done; exit 5")
	run(t, r, long)
	run(t, r, short)
	pid := find(t, r, long.ID).PID

	events := listen(t, r)
	eventually(t, "the listener stands", func() bool { return events.anew() == 1 })
	stopped := make(chan error, 1)
	m.stop(t)
	check(t, os.WriteFile(filepath.Join(r.pin("p1", "shm"), "go"), nil, 0o600))
	before := len(logOf(t, long))
	eventually(t, "the log grows without containerd", func() bool { return len(logOf(t, long)) > before })
	m.start(t)
	m.await(t, r)

	if c := exited(t, r, short.ID); c.ExitCode != 5 {
		t.Errorf("short = %+v", c)
	}
	if c := find(t, r, long.ID); c.Phase != runtime.Running || c.PID != pid {
		t.Errorf("long = %+v, had pid %d", c, pid)
	}
	eventually(t, "the gap is told", func() bool { return events.anew() > 1 })
	go func() { stopped <- r.Stop(t.Context(), long.ID, patience) }()
	check(t, <-stopped)
	if c := find(t, r, long.ID); c.ExitCode != 0 || !strings.HasSuffix(logOf(t, long), "bye\n") {
		t.Errorf("long after its stop = %+v", c)
	}
	eventually(t, "events come again", func() bool { return events.of("p1") > 0 })
}

// A Stop that waits while containerd goes and comes must neither fail nor take the broken connection for an exit.
func TestStopAcrossRestart(t *testing.T) {
	m := newMachine(t)
	r := m.node(t)
	spec := sh(r, id("p1", "c"), "trap 'until [ -e /dev/shm/go ]; do sleep 0.02; done; exit 9' TERM; touch /dev/shm/up; while :; do sleep 0.02; done")
	run(t, r, spec)
	shm := r.pin("p1", "shm")
	eventually(t, "the trap is set", func() bool { _, err := os.Stat(filepath.Join(shm, "up")); return err == nil })
	stopped := make(chan error, 1)
	waiting, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	go func() { stopped <- r.Stop(t.Context(), spec.ID, patience) }()
	<-waiting.Done() // Stop has sent its signal and waits
	m.stop(t)
	m.start(t)
	m.await(t, r)
	if c := find(t, r, spec.ID); c.Phase != runtime.Running {
		t.Errorf("before its end = %+v", c)
	}
	check(t, os.WriteFile(filepath.Join(shm, "go"), nil, 0o600))
	check(t, <-stopped)
	if c := find(t, r, spec.ID); c.Phase != runtime.Exited || c.ExitCode != 9 {
		t.Errorf("after its end = %+v", c)
	}
}

func TestAKilledShimIsAnExit(t *testing.T) {
	m := newMachine(t)
	r := m.node(t)
	spec := sh(r, id("p1", "c"), "sleep 1000")
	run(t, r, spec)
	pid := find(t, r, spec.ID).PID
	stat := strings.Fields(string(must(os.ReadFile("/proc/" + itoa(pid) + "/stat"))(t)))
	shim := atoi(t, stat[3])
	address := must(filepath.Glob(m.path("state") + "/io.containerd.runtime.v2.task/*/*/address"))(t)
	socket := strings.TrimPrefix(string(must(os.ReadFile(address[0]))(t)), "unix://")
	defer os.Remove(socket) // a killed shim leaves it, and so does containerd
	check(t, syscall.Kill(shim, syscall.SIGKILL))
	c := exited(t, r, spec.ID)
	if c.ExitCode != 137 && c.ExitCode != 255 {
		t.Errorf("container = %+v", c)
	}
	check(t, r.Remove(t.Context(), spec.ID))
	eventually(t, "containerd has cleared up after the shim", func() bool {
		mounts := must(os.ReadFile("/proc/self/mounts"))(t)
		return !strings.Contains(string(mounts), m.path("state")) && len(m.processes(t)) == 1
	})
}

// What a reboot leaves on disk is recognised by the boot id and swept; the agent starts from nothing.
func TestReboot(t *testing.T) {
	r := newMachine(t).node(t)
	run(t, r, sh(r, id("p1", "c"), "sleep 1000"))
	run(t, r, sh(r, id("p2", "c"), "sleep 1000"))
	rec := must(r.load("p1"))(t)
	rec.Boot = "an earlier one"
	check(t, os.WriteFile(filepath.Join(r.dir("p1"), "sandbox.json"), must(json.Marshal(rec))(t), 0o600))
	check(t, unpin(r.dir("p2"))) // and this is what the files look like then
	if state := must(r.State(t.Context()))(t); len(state) != 0 {
		t.Errorf("state = %+v", state)
	}
	if left := must(r.client.Containers(r.in(t.Context())))(t); len(left) != 0 {
		t.Errorf("%d containers are left", len(left))
	}
	box := must(r.StartSandbox(t.Context(), sandbox("p1")))(t)
	if !pinned(r.dir("p1")) || len(box.Containers) != 0 {
		t.Errorf("sandbox after the reboot = %+v", box)
	}
}

// An agent that died half-way leaves rubble, which is cleared on the way to what was wanted.
func TestRubble(t *testing.T) {
	r := newMachine(t).node(t)
	check(t, os.MkdirAll(filepath.Join(r.dir("p1"), "shm"), 0o700))
	check(t, pinNamespaces(r.dir("p1"), "x", false)) // no record yet
	if state := must(r.State(t.Context()))(t); len(state) != 0 {
		t.Errorf("state = %+v", state)
	}
	if _, err := os.Stat(r.dir("p1")); err == nil {
		t.Error("the rubble was not swept")
	}
	spec := sh(r, id("p2", "c"), "exit 4")
	box := must(r.StartSandbox(t.Context(), sandbox("p2")))(t)
	ctx := r.in(t.Context())
	c := must(r.create(ctx, must(r.load(box.Pod))(t), must(r.imageFor(ctx, spec))(t), spec))(t) // no task
	if c := find(t, r, spec.ID); c.Phase != runtime.Created {
		t.Errorf("made, not started = %+v", c)
	}
	check(t, r.StartContainer(t.Context(), spec))
	if c := exited(t, r, spec.ID); c.ExitCode != 4 {
		t.Errorf("started later = %+v", c)
	}
	check(t, r.Remove(t.Context(), spec.ID))
	if _, err := r.client.LoadContainer(ctx, c.ID()); err == nil {
		t.Error("removed, but there")
	}
}

// After the end of a container nothing of it runs: no task, and so neither shim nor logger.
func TestExitedContainersCostNothing(t *testing.T) {
	r := newMachine(t).node(t)
	spec := sh(r, id("p1", "c"), "exit 0")
	run(t, r, spec)
	exited(t, r, spec.ID)
	c := must(r.client.LoadContainer(r.in(t.Context()), spec.ID.String()))(t)
	if _, err := c.Task(r.in(t.Context()), nil); err == nil {
		t.Error("its task is still there")
	}
}

// heard is what Events told.
type heard struct {
	events chan types.UID // "" is a new beginning
	counts map[types.UID]int
}

func listen(t *testing.T, r *Runtime) *heard {
	h := &heard{events: make(chan types.UID, 1000), counts: map[types.UID]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan bool)
	go func() {
		defer close(ended)
		for pod, err := range r.Events(ctx) {
			if err != nil {
				pod = ""
			}
			h.events <- pod
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return h
}

func (h *heard) of(pod types.UID) int {
	for len(h.events) > 0 {
		h.counts[<-h.events]++
	}
	return h.counts[pod]
}

func (h *heard) anew() int { return h.of("") }
