// Package runtimetest holds every runtime.Runtime to the same behaviour: what package runtime promises, sentence by sentence.
//
//	func TestSuite(t *testing.T) {
//		runtimetest.Run(t, func(t *testing.T) runtimetest.Subject { … })
//	}
//
// Each test gets a fresh, empty node. A subject says by which spec its containers do what a test needs; for containerd that is a
// busybox command line, for the simulation whatever makes it pretend.
package runtimetest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
)

// Behaviour is what a container shall do.
type Behaviour string

const (
	RunsForever    Behaviour = "runs until it is stopped, then ends with code 0"
	IgnoresSIGTERM Behaviour = "runs until it is killed"
	Succeeds       Behaviour = "exits at once with code 0"
	ExitsWith3     Behaviour = "exits at once with code 3"
	HasNoCommand   Behaviour = "names a command that its image does not have"
	HasNoImage     Behaviour = "names an image that the node does not have"
)

// Subject is one runtime under test.
type Subject struct {
	Runtime runtime.Runtime
	// Spec returns a container that behaves so. The suite sets ID, Labels and, when empty, nothing else.
	Spec func(Behaviour) runtime.ContainerSpec
	// Heeds, unless nil, waits until a container that was started heeds signals: a shell must get as far as its trap.
	Heeds func(*testing.T, runtime.ContainerSpec)
	// Restart returns what a new agent process would have: another Runtime for the same node.
	Restart func() runtime.Runtime
}

// patience is for machines that are busy with something else.
const patience = 60 * time.Second

// Run runs the suite.
func Run(t *testing.T, fresh func(*testing.T) Subject) {
	for _, test := range []struct {
		sentence string
		run      func(*testing.T, Subject)
	}{
		{"an empty node has no state", emptyNode},
		{"a sandbox is found again with its address and labels, also by a new agent", sandboxIsFound},
		{"removing what is not there succeeds", removingNothing},
		{"a container runs with its labels and image until it is stopped", containerRuns},
		{"a container that ignores SIGTERM is killed after its grace", graceEnds},
		{"exit codes and reasons are those of the process", exitCodes},
		{"starting an attempt twice runs it once", startingTwice},
		{"a missing command cannot run and says so in State", missingCommand},
		{"a container needs its image and its sandbox", missingGround},
		{"all attempts stay until they are removed", attemptsStay},
		{"removing a sandbox ends what runs in it", removingRunning},
		{"a new agent finds running and exited containers as they are", restart},
		{"an exit is an event of its pod", exitIsEvent},
		{"events end with their context", eventsEnd},
		{"a missing image is ErrNoImage, a bad process ErrNotFound", missingThings},
	} {
		t.Run(test.sentence, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}

func emptyNode(t *testing.T, s Subject) {
	if state := s.state(t, s.Runtime); len(state) != 0 {
		t.Errorf("state = %v", state)
	}
	if v, err := s.Runtime.Version(t.Context()); err != nil || v == "" {
		t.Errorf("version = %q, %v", v, err)
	}
}

func sandboxIsFound(t *testing.T, s Subject) {
	spec := box("p1")
	spec.Labels = map[string]string{"who": "me"}
	first := must(s.Runtime.StartSandbox(t.Context(), spec))(t)
	again := must(s.Runtime.StartSandbox(t.Context(), spec))(t)
	if again.Created != first.Created || again.NetNS != first.NetNS {
		t.Errorf("the second start made another sandbox: %v, then %v", first, again)
	}
	address := netip.MustParseAddr("10.1.2.3")
	check(t, s.Runtime.SetAddress(t.Context(), "p1", address, "hosts"))
	for _, r := range []runtime.Runtime{s.Runtime, s.Restart()} {
		state := s.state(t, r)
		if len(state) != 1 || state[0].Pod != "p1" || state[0].Address != address || state[0].Labels["who"] != "me" || state[0].Hosts != "hosts" || state[0].Name != spec.Name {
			t.Errorf("state = %+v", state)
		}
	}
	if err := s.Runtime.SetAddress(t.Context(), "nobody", address, ""); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("address of an unknown pod: %v", err)
	}
	check(t, s.Runtime.RemoveSandbox(t.Context(), "p1"))
	emptyNode(t, s)
}

func removingNothing(t *testing.T, s Subject) {
	id := runtime.ContainerID{Pod: "p1", Name: "c"}
	check(t, s.Runtime.Stop(t.Context(), id, time.Second))
	check(t, s.Runtime.Remove(t.Context(), id))
	check(t, s.Runtime.RemoveSandbox(t.Context(), "p1"))
}

func containerRuns(t *testing.T, s Subject) {
	spec := s.spec(RunsForever, "p1", "c", 0)
	s.start(t, spec)
	c := s.container(t, spec.ID)
	if c.Phase != runtime.Running || c.Labels["k"] != "v" || c.Image != spec.Image || c.ImageID == "" || c.Started.IsZero() || c.LogPath != spec.LogPath {
		t.Errorf("running container = %+v", c)
	}
	if err := s.Runtime.Remove(t.Context(), spec.ID); err == nil {
		t.Error("a running container was removed")
	}
	if s.Heeds != nil {
		s.Heeds(t, spec)
	}
	check(t, s.Runtime.Stop(t.Context(), spec.ID, patience))
	c = s.container(t, spec.ID)
	if c.Phase != runtime.Exited || c.ExitCode != 0 || c.Reason != "Completed" || c.Finished.Before(c.Started) {
		t.Errorf("stopped container = %+v", c)
	}
	check(t, s.Runtime.Stop(t.Context(), spec.ID, patience))
	check(t, s.Runtime.Remove(t.Context(), spec.ID))
	check(t, s.Runtime.Remove(t.Context(), spec.ID))
	if all := s.state(t, s.Runtime)[0].Containers; len(all) != 0 {
		t.Errorf("after removal: %+v", all)
	}
}

func graceEnds(t *testing.T, s Subject) {
	spec := s.spec(IgnoresSIGTERM, "p1", "c", 0)
	s.start(t, spec)
	grace := 300 * time.Millisecond
	began := time.Now()
	check(t, s.Runtime.Stop(t.Context(), spec.ID, grace))
	if took := time.Since(began); took < grace {
		t.Errorf("killed after %v, before its grace of %v", took, grace)
	}
	if c := s.container(t, spec.ID); c.Phase != runtime.Exited || c.ExitCode != 137 || c.Reason != "Error" {
		t.Errorf("killed container = %+v", c)
	}
}

func exitCodes(t *testing.T, s Subject) {
	good, bad := s.spec(Succeeds, "p1", "good", 0), s.spec(ExitsWith3, "p1", "bad", 0)
	s.start(t, good)
	s.start(t, bad)
	if c := s.exited(t, good.ID); c.ExitCode != 0 || c.Reason != "Completed" {
		t.Errorf("good = %+v", c)
	}
	c := s.exited(t, bad.ID)
	if c.ExitCode != 3 || c.Reason != "Error" || c.Started.IsZero() || c.Finished.Before(c.Started) {
		t.Errorf("bad = %+v", c)
	}
}

func startingTwice(t *testing.T, s Subject) {
	long, short := s.spec(RunsForever, "p1", "long", 0), s.spec(ExitsWith3, "p1", "short", 0)
	s.start(t, long)
	s.start(t, short)
	before := s.container(t, long.ID)
	ended := s.exited(t, short.ID)
	s.start(t, long)
	s.start(t, short)
	if after := s.container(t, long.ID); after.Started != before.Started || after.PID != before.PID {
		t.Errorf("the running one was started again: %+v, then %+v", before, after)
	}
	if after := s.container(t, short.ID); after.Phase != runtime.Exited || !after.Finished.Equal(ended.Finished) {
		t.Errorf("the exited one was started again: %+v, then %+v", ended, after)
	}
}

func missingCommand(t *testing.T, s Subject) {
	spec := s.spec(HasNoCommand, "p1", "c", 0)
	must(s.Runtime.StartSandbox(t.Context(), box("p1")))(t)
	if err := s.Runtime.StartContainer(t.Context(), spec); !errors.Is(err, runtime.ErrCannotRun) {
		t.Fatalf("start = %v", err)
	}
	for _, r := range []runtime.Runtime{s.Runtime, s.Restart()} {
		c := find(s.state(t, r), spec.ID)
		reasons, codes := []string{"StartError", "ContainerCannotRun"}, []int{127, 128}
		if c == nil || c.Phase != runtime.Exited || !slices.Contains(reasons, c.Reason) || !slices.Contains(codes, c.ExitCode) || c.Message == "" {
			t.Errorf("container = %+v", c)
		}
	}
	check(t, s.Runtime.Remove(t.Context(), spec.ID))
}

func missingGround(t *testing.T, s Subject) {
	if err := s.Runtime.StartContainer(t.Context(), s.spec(RunsForever, "p1", "c", 0)); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("without a sandbox: %v", err)
	}
	must(s.Runtime.StartSandbox(t.Context(), box("p1")))(t)
	if err := s.Runtime.StartContainer(t.Context(), s.spec(HasNoImage, "p1", "c", 0)); !errors.Is(err, runtime.ErrNoImage) {
		t.Errorf("without its image: %v", err)
	}
	if all := s.state(t, s.Runtime)[0].Containers; len(all) != 0 {
		t.Errorf("containers that were never made: %+v", all)
	}
}

func attemptsStay(t *testing.T, s Subject) {
	for attempt := range 3 {
		spec := s.spec(ExitsWith3, "p1", "c", attempt)
		s.start(t, spec)
		s.exited(t, spec.ID)
	}
	var attempts []int
	for _, c := range s.state(t, s.Runtime)[0].Containers {
		attempts = append(attempts, c.ID.Attempt)
	}
	if !slices.Equal(attempts, []int{0, 1, 2}) {
		t.Errorf("attempts, oldest first = %v", attempts)
	}
}

func removingRunning(t *testing.T, s Subject) {
	s.start(t, s.spec(IgnoresSIGTERM, "p1", "a", 0))
	s.start(t, s.spec(RunsForever, "p1", "b", 0))
	s.start(t, s.spec(RunsForever, "p2", "a", 0))
	check(t, s.Runtime.RemoveSandbox(t.Context(), "p1"))
	state := s.state(t, s.Runtime)
	if len(state) != 1 || state[0].Pod != "p2" || len(state[0].Containers) != 1 || state[0].Containers[0].Phase != runtime.Running {
		t.Errorf("state = %+v", state)
	}
}

func restart(t *testing.T, s Subject) {
	long, short := s.spec(RunsForever, "p1", "long", 0), s.spec(ExitsWith3, "p1", "short", 2)
	s.start(t, long)
	s.start(t, short)
	s.exited(t, short.ID)
	before := s.container(t, long.ID)
	s.Runtime = s.Restart()
	if c := s.container(t, long.ID); c.Phase != runtime.Running || !c.Started.Equal(before.Started) || c.PID != before.PID {
		t.Errorf("running before: %+v, after: %+v", before, c)
	}
	if c := s.container(t, short.ID); c.Phase != runtime.Exited || c.ExitCode != 3 {
		t.Errorf("exited = %+v", c)
	}
	check(t, s.Runtime.Stop(t.Context(), long.ID, patience))
	if c := s.container(t, long.ID); c.Phase != runtime.Exited || c.ExitCode != 0 {
		t.Errorf("stopped by the new agent = %+v", c)
	}
}

func exitIsEvent(t *testing.T, s Subject) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen := make(chan types.UID, 100)
	go func() {
		for pod, err := range s.Runtime.Events(ctx) {
			if err == nil {
				seen <- pod
			}
		}
	}()
	tick := time.NewTicker(time.Second) // the first exit may come before the listener stands
	defer tick.Stop()
	for attempt := 0; ; attempt++ {
		s.start(t, s.spec(ExitsWith3, "p1", "c", attempt))
		select {
		case pod := <-seen:
			if pod != "p1" {
				t.Errorf("event of %q", pod)
			}
			return
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("no event")
		}
	}
}

func eventsEnd(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan bool)
	go func() {
		for range s.Runtime.Events(ctx) { //nolint:errcheck // only the end matters here
		}
		close(ended)
	}()
	cancel()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("events go on after their context")
	}
}

func missingThings(t *testing.T, s Subject) {
	if _, err := s.Runtime.Image(t.Context(), s.Spec(HasNoImage).Image); !errors.Is(err, runtime.ErrNoImage) {
		t.Errorf("image = %v", err)
	}
	if image, err := s.Runtime.Image(t.Context(), s.Spec(RunsForever).Image); err != nil || image.ID == "" || image.Ref == "" {
		t.Errorf("image = %+v, %v", image, err)
	}
	if _, err := s.Runtime.Exec(t.Context(), runtime.ContainerID{Pod: "p1", Name: "c"}, runtime.Process{Command: []string{"true"}}); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("exec in nothing = %v", err)
	}
}
