package pod

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"optimist/agent/probe"
	"optimist/agent/runtime"
	"optimist/internal/api"
)

// Verb is what a step does.
type Verb string

const (
	Confirm        Verb = "Confirm"        // ask the API server itself whether the Pod is gone
	FindImage      Verb = "FindImage"      // is it on the node?
	Pull           Verb = "Pull"           // fetch the image
	Mount          Verb = "Mount"          // make its volumes, or renew what is in them
	Unmount        Verb = "Unmount"        // take them away
	StartSandbox   Verb = "StartSandbox"   // make the pod's namespaces
	AttachNetwork  Verb = "AttachNetwork"  // give it an address
	DetachNetwork  Verb = "DetachNetwork"  // free the address of a finished pod
	StartContainer Verb = "StartContainer" // one attempt
	PostStart      Verb = "PostStart"      // what its container wants then
	Ask            Verb = "Ask"            // a probe
	Stop           Verb = "Stop"           // preStop, SIGTERM, then SIGKILL
	Remove         Verb = "Remove"         // an old attempt and its log
	RemoveSandbox  Verb = "RemoveSandbox"  // everything, with the logs
	WriteStatus    Verb = "WriteStatus"    // tell the API server
	DeletePod      Verb = "DeletePod"      // tell it that nothing is left
	Forget         Verb = "Forget"         // this pod needs no worker any more
	Wait           Verb = "Wait"           // look again at Until, or when something happens
)

// Step is one thing to do, and why.
type Step struct {
	Do        Verb
	Container string              // FindImage, Pull, StartContainer: the name
	ID        runtime.ContainerID // StartContainer, PostStart, Ask, Stop, Remove: the attempt
	Streak    int                 // StartContainer: how many restarts in a row this is
	Grace     time.Duration       // Stop
	Probe     probe.Kind          // Ask: which; Stop: that has failed, if one has
	Status    *corev1.PodStatus   // WriteStatus
	Until     time.Time           // Wait
	Why       string
}

// String is the step in words: "StartContainer web".
func (s Step) String() string {
	return strings.TrimSpace(string(s.Do) + " " + cmp.Or(s.Container, s.ID.Name))
}

// Key names the step among those of its pod, for Memory.Troubles. All that brings a container up shares the container's.
func (s Step) Key() string {
	switch s.Do {
	case FindImage, Pull, StartContainer:
		return s.Container
	case Stop, Remove:
		return string(s.Do) + " " + s.ID.String()
	default:
		return string(s.Do)
	}
}

const (
	minGrace = 2 * time.Second // even a pod that was deleted by force may close its files

	firstSight = 2 * time.Second // how long a failed pull shows its error before it shows the back-off
)

// Plan returns the next steps: all can be done, in this order, before anybody has to look again. No steps: wait for something to happen.
func Plan(v View, now time.Time) []Step {
	var steps []Step
	switch {
	case v.Pod == nil:
		steps = sweep(v)
	case v.Pod.DeletionTimestamp != nil:
		steps = end(v, now)
	case api.Ended(v.Pod):
		steps = rest(v, now)
	default:
		steps = keep(v, now)
	}
	return postpone(steps, v.Memory, now)
}

// postpone drops what failed recently and waits for its time instead; what follows such a step follows from it, unless it only tells.
func postpone(steps []Step, m Memory, now time.Time) []Step {
	var ready []Step
	var until time.Time
	for _, s := range steps {
		if s.Do == Wait {
			until = earlier(until, s.Until)
		} else if again, wait := m.postponed(s.Key(), now); wait {
			until = earlier(until, again)
		} else {
			ready = append(ready, s)
		}
	}
	if !until.IsZero() {
		ready = append(ready, Step{Do: Wait, Until: until, Why: "nothing else can be done before"})
	}
	return ready
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// sweep ends what is left of a Pod that is not in the cache.
func sweep(v View) []Step {
	if !v.Memory.Confirmed {
		return []Step{{Do: Confirm, Why: "the Pod is not among this node's any more"}}
	}
	if v.Sandbox == nil && v.Volumes.Exist {
		return []Step{{Do: Unmount, Why: "the Pod is gone"}}
	}
	if v.Sandbox == nil {
		return []Step{{Do: Forget, Why: "nothing is left of the pod"}}
	}
	var stops []Step
	for _, c := range v.Sandbox.Containers {
		if c.Phase == runtime.Running {
			stops = append(stops, Step{Do: Stop, ID: c.ID, Grace: minGrace, Why: "the Pod is gone"})
		}
	}
	if len(stops) > 0 {
		return stops
	}
	return []Step{{Do: RemoveSandbox, Why: "the Pod is gone"}}
}

// end brings a deleted Pod to its end: stop, tell, remove, confirm. Whose finalizers then keep the Pod has to take them away.
func end(v View, now time.Time) []Step {
	if v.Sandbox == nil && v.Volumes.Exist {
		return []Step{{Do: Unmount, Why: "all containers of the deleted Pod are gone"}}
	}
	if v.Sandbox == nil && released(v.Pod) {
		return nil
	}
	if v.Sandbox == nil {
		return []Step{{Do: DeletePod, Why: "all its containers are gone"}}
	}
	if stops := stop(running(look(v, now)), remaining(v.Pod, now), "the Pod is being deleted"); len(stops) > 0 {
		return stops
	}
	if report := report(v, now, "how the containers ended"); len(report) > 0 {
		return report
	}
	return []Step{{Do: RemoveSandbox, Why: "all containers of the deleted Pod have ended"}}
}

// released reports that no grace is left in a Pod: the API server does not wait for this node any more.
func released(pod *corev1.Pod) bool {
	s := pod.DeletionGracePeriodSeconds
	return s != nil && *s == 0 && len(pod.Finalizers) > 0
}

// remaining is what is left of a deleted Pod's grace. The API keeps whole seconds, so up to one is missing from the timestamp.
func remaining(pod *corev1.Pod, now time.Time) time.Duration {
	rest := pod.DeletionTimestamp.Sub(now) + time.Second
	if s := pod.DeletionGracePeriodSeconds; s != nil {
		rest = min(rest, time.Duration(*s)*time.Second)
	}
	return max(rest, minGrace)
}

func grace(pod *corev1.Pod) time.Duration {
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil {
		return max(time.Duration(*s)*time.Second, minGrace)
	}
	return corev1.DefaultTerminationGracePeriodSeconds * time.Second
}

func stop(parts []part, grace time.Duration, why string) []Step {
	var steps []Step
	for _, p := range parts {
		steps = append(steps, Step{Do: Stop, ID: p.last.ID, Grace: grace, Why: why})
	}
	return steps
}

// rest keeps a finished pod: nothing runs, no address, no volumes, the last attempts for their logs.
func rest(v View, now time.Time) (steps []Step) {
	if v.Sandbox == nil {
		return unmount(v)
	}
	if stops := stop(running(look(v, now)), grace(v.Pod), "the Pod has finished"); len(stops) > 0 {
		return stops
	}
	steps = slices.Concat(report(v, now, "how the containers ended"), outdated(v), unmount(v))
	if v.Sandbox.Address.IsValid() {
		steps = append(steps, Step{Do: DetachNetwork, Why: "a finished pod needs no address"})
	}
	return steps
}

func unmount(v View) []Step {
	if !v.Volumes.Exist {
		return nil
	}
	return []Step{{Do: Unmount, Why: "a finished pod needs no volumes"}}
}

// mounts is due at first, when a token grows old, or what the volumes are made of has changed.
func mounts(v View, now time.Time) []Step {
	_, wait := v.Memory.postponed(string(Mount), now)
	switch s := v.Volumes; {
	case wait || len(v.Pod.Spec.Volumes) == 0:
		return nil
	case !s.Mounted:
		return []Step{{Do: Mount, Why: "its volumes are not mounted"}}
	case s.Changed:
		return []Step{{Do: Mount, Why: "what its volumes show has changed"}}
	case !s.Due.IsZero() && !now.Before(s.Due):
		return []Step{{Do: Mount, Why: "a token in its volumes has to be renewed"}}
	}
	return nil
}

// keep brings a living pod closer to what it should be.
func keep(v View, now time.Time) []Step {
	parts := look(v, now)
	ended := "the pod's containers have ended"
	if overdue(v.Pod, now) {
		ended = "spec.activeDeadlineSeconds are over"
	}
	if over(parts) {
		return append(report(v, now, ended), stop(running(parts), grace(v.Pod), ended)...)
	}
	if overdue(v.Pod, now) {
		return stop(running(parts), grace(v.Pod), ended)
	}
	if stops := unwell(v, parts); len(stops) > 0 {
		return stops
	}
	if due, _ := probes(v, parts, now, probe.Kinds); len(due) > 0 {
		return due
	}
	next := append(mounts(v, now), advance(v, parts, now)...)
	if len(next) == 0 || next[0].Do == Pull || v.Pod.Status.StartTime == nil { // people look at a pod while a pull lasts
		next = append(report(v, now, "the pod's state has changed"), next...)
	}
	return append(append(next, outdated(v)...), waits(v, parts, now)...)
}

// advance is the next step upwards: volumes, sandbox, address, init containers one by one, containers.
func advance(v View, parts []part, now time.Time) []Step {
	switch {
	case !v.Volumes.Mounted && len(v.Pod.Spec.Volumes) > 0:
		return nil // mounts says what to do
	case v.Sandbox == nil:
		return []Step{{Do: StartSandbox, Why: "the pod has no sandbox"}}
	case !v.Sandbox.Address.IsValid() && !v.Pod.Spec.HostNetwork:
		return []Step{{Do: AttachNetwork, Why: "the pod has no address"}}
	}
	if stops := stop(outgrown(v.Pod, parts), grace(v.Pod), "its image in the Pod has changed"); len(stops) > 0 {
		return stops
	}
	for _, p := range startable(parts) {
		if _, wait := v.Memory.postponed(p.spec.Name, now); p.next == begin && !wait {
			s := raise(v, p)
			if s.Do == StartContainer && p.spec.Lifecycle != nil && p.spec.Lifecycle.PostStart != nil {
				return []Step{s, {Do: PostStart, ID: s.ID, Why: "it has started"}}
			}
			return []Step{s}
		}
	}
	return nil
}

// outgrown lists what runs with another image than the Pod now names, and will be started again once it has stopped.
func outgrown(pod *corev1.Pod, parts []part) []part {
	var old []part
	for _, p := range parts {
		if p.running() && p.role != initial && p.last.Image != p.spec.Image && pod.Spec.RestartPolicy == corev1.RestartPolicyAlways {
			old = append(old, p)
		}
	}
	return old
}

// startable lists the containers whose turn it is.
func startable(parts []part) []part {
	var turn []part
	ready := initialized(parts)
	for _, p := range parts {
		switch {
		case p.role == mainly && !ready:
			return turn
		case p.role == initial && (ready || p.succeeded() && !p.lost):
			continue
		}
		turn = append(turn, p)
		if p.role == initial || p.role == sidecar && !ready && !p.up {
			return turn
		}
	}
	return turn
}

// raise is the next step to start one container: its image, then itself.
func raise(v View, p part) Step {
	name, id := p.spec.Name, runtime.ContainerID{Pod: v.Pod.UID, Name: p.spec.Name, Attempt: p.attempt()}
	why := "it has not run yet"
	if p.last != nil {
		why = fmt.Sprintf("attempt %d ended with exit code %d", p.last.ID.Attempt, p.last.ExitCode)
	}
	switch _, known := v.Memory.Images[name]; {
	case known:
		s := Step{Do: StartContainer, Container: name, ID: id, Why: why}
		if p.last != nil {
			s.Streak = p.streak() + 1
		}
		return s
	case v.Memory.Absent[name] || p.spec.ImagePullPolicy == corev1.PullAlways:
		return Step{Do: Pull, Container: name, Why: fmt.Sprintf("imagePullPolicy is %s", p.spec.ImagePullPolicy)}
	default:
		return Step{Do: FindImage, Container: name, Why: why}
	}
}

// outdated are the attempts that nobody can ask for: all but the last two of each container.
func outdated(v View) []Step {
	if v.Sandbox == nil {
		return nil
	}
	newest := map[string]int{}
	for _, c := range v.Sandbox.Containers {
		newest[c.ID.Name] = max(newest[c.ID.Name], c.ID.Attempt)
	}
	var steps []Step
	for _, c := range v.Sandbox.Containers {
		if c.Phase == runtime.Exited && c.ID.Attempt < newest[c.ID.Name]-1 {
			steps = append(steps, Step{Do: Remove, ID: c.ID, Why: "two newer attempts exist"})
		}
	}
	return steps
}

// waits are the times at which the plan changes by itself.
func waits(v View, parts []part, now time.Time) []Step {
	var until time.Time
	for _, p := range startable(parts) {
		t, failed := v.Memory.Troubles[p.spec.Name]
		switch {
		case p.next == await:
			until = earlier(until, p.due)
		case p.next == begin && failed && now.Before(t.Until):
			until = earlier(until, t.Until)
			if sight := t.Since.Add(firstSight); t.Reason == errImagePull && now.Before(sight) {
				until = earlier(until, sight)
			}
		}
	}
	if again, wait := v.Memory.postponed(string(Mount), now); wait {
		until = earlier(until, again)
	} else if v.Volumes.Due.After(now) {
		until = earlier(until, v.Volumes.Due)
	}
	_, due := probes(v, parts, now, probe.Kinds)
	if until = earlier(earlier(until, deadline(v.Pod)), due); until.IsZero() {
		return nil
	}
	return []Step{{Do: Wait, Until: until, Why: "a back-off or a deadline ends then, or a probe or a token is due"}}
}

// report writes the status if it differs from what the API server has.
func report(v View, now time.Time, why string) []Step {
	status := Status(v, now)
	if apiequality.Semantic.DeepEqual(status, &v.Pod.Status) {
		return nil
	}
	return []Step{{Do: WriteStatus, Status: status, Why: why}}
}
