package pod

import (
	"iter"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/images"
	"optimist/agent/probe"
	"optimist/agent/runtime"
	"optimist/agent/volume"
	"optimist/internal/api"
)

const (
	labelStreak   = "streak"   // of a container: how many restarts in a row it is
	labelRevision = "revision" // of a sandbox: the Pod's, as it was started

	forgiven = 10 * time.Minute // a container that ran this long starts a new streak
)

// View is all that the plan of one pod looks at.
type View struct {
	Pod     *corev1.Pod      // nil: not in the cache of this node's pods
	Sandbox *runtime.Sandbox // nil: there is none
	Memory  Memory
	Node    Node
	Volumes volume.State
}

// Node is what a pod learns of its node.
type Node struct {
	Name        string
	IP          string
	Runtime     string // the scheme of containerIDs: "containerd"
	Allocatable corev1.ResourceList
}

// Memory is what a worker remembers between steps. Losing it costs only attempts.
type Memory struct {
	Troubles  map[string]Trouble       // by Step.Key: what failed and is not tried again before its time
	Images    map[string]runtime.Image // by container: on the node, for its next start
	Absent    map[string]bool          // by container: its image was looked for and must be pulled
	Probes    map[string]probe.Record  // by kind and container
	Confirmed bool                     // the API server itself said that the Pod is gone
}

// Trouble is a step that failed.
type Trouble struct {
	Reason, Message string // as a waiting container shows them
	Count           int    // in a row
	Since, Until    time.Time
}

func newMemory() Memory {
	return Memory{Troubles: map[string]Trouble{}, Images: map[string]runtime.Image{}, Absent: map[string]bool{}, Probes: map[string]probe.Record{}}
}

func (m Memory) fail(key, reason, message string, now time.Time, delay func(count int) time.Duration) {
	count := m.Troubles[key].Count + 1
	m.Troubles[key] = Trouble{Reason: reason, Message: message, Count: count, Since: now, Until: now.Add(delay(count))}
}

// postponed says until when a step has to wait.
func (m Memory) postponed(key string, now time.Time) (time.Time, bool) {
	until := m.Troubles[key].Until
	return until, now.Before(until)
}

// address is the pod's; "" = none yet.
func (v View) address() string {
	switch {
	case v.Sandbox != nil && v.Pod.Spec.HostNetwork:
		return v.Node.IP
	case v.Sandbox != nil && v.Sandbox.Address.IsValid():
		return v.Sandbox.Address.String()
	}
	return ""
}

// Containers are a pod's: first the init containers, in their order, then the others.
func Containers(pod *corev1.Pod) iter.Seq[*corev1.Container] {
	return func(yield func(*corev1.Container) bool) {
		for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
	}
}

func containerNamed(pod *corev1.Pod, name string) *corev1.Container {
	if pod == nil {
		return nil
	}
	for c := range Containers(pod) {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// StatusOf is what the Pod's status tells of a container, nil for nothing.
func StatusOf(pod *corev1.Pod, name string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

type role int

const (
	initial role = iota // an init container: must end well before the next one starts
	sidecar             // an init container that is to stay: restartPolicy Always
	mainly
)

type move int

const (
	begin move = iota // to be started
	hold              // runs
	await             // is to be started again, at due
	done              // has ended for good, or will never begin
)

// part is one container of the pod, and where it stands.
type part struct {
	spec *corev1.Container
	role role
	last *runtime.Container // the newest attempt; nil: none
	prev *runtime.Container // the one before
	lost bool               // last is only known from the Pod's status: its sandbox has died
	up   bool               // it runs, and its startup probe has succeeded
	fit  bool               // … and so has its readiness probe
	next move
	due  time.Time // of await
}

func (p part) running() bool   { return p.last != nil && !p.lost && p.last.Phase == runtime.Running }
func (p part) exited() bool    { return p.last != nil && p.last.Phase == runtime.Exited }
func (p part) succeeded() bool { return p.exited() && p.last.ExitCode == 0 }

// attempt is the number of the next one.
func (p part) attempt() int {
	switch {
	case p.last == nil:
		return 0
	case p.last.Phase == runtime.Created:
		return p.last.ID.Attempt
	default:
		return p.last.ID.Attempt + 1
	}
}

// streak is how many restarts in a row the newest attempt is.
func (p part) streak() int {
	if p.last == nil || p.last.Finished.Sub(p.last.Started) >= forgiven {
		return 0
	}
	n, _ := strconv.Atoi(p.last.Labels[labelStreak])
	return n
}

// look says where every container stands.
func look(v View, now time.Time) []part {
	var parts []part
	inits := len(v.Pod.Spec.InitContainers)
	ending := ends(v, now)
	for c := range Containers(v.Pod) {
		p := v.part(c)
		switch {
		case len(parts) >= inits:
			p.role = mainly
		case c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways:
			p.role = sidecar
		}
		p.up = p.running() && v.well(p, probe.Startup)
		p.fit = p.up && v.well(p, probe.Readiness)
		if p.next, p.due = p.decide(v.Pod.Spec.RestartPolicy, now); ending && p.next != hold {
			p.next = done
		}
		parts = append(parts, p)
	}
	return parts
}

// ends reports that nothing of the pod is to be started any more.
func ends(v View, now time.Time) bool {
	return v.Pod.DeletionTimestamp != nil || api.Ended(v.Pod) || overdue(v.Pod, now)
}

// deadline is when spec.activeDeadlineSeconds are over; the zero time if there is no such limit.
func deadline(pod *corev1.Pod) time.Time {
	if pod.Spec.ActiveDeadlineSeconds == nil || pod.Status.StartTime == nil {
		return time.Time{}
	}
	return pod.Status.StartTime.Add(time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second)
}

func overdue(pod *corev1.Pod, now time.Time) bool {
	d := deadline(pod)
	return !d.IsZero() && !now.Before(d)
}

// part gathers the attempts of one container.
func (v View) part(c *corev1.Container) part {
	p := part{spec: c}
	if v.Sandbox != nil {
		for i := range v.Sandbox.Containers {
			if a := &v.Sandbox.Containers[i]; a.ID.Name == c.Name && (p.last == nil || a.ID.Attempt > p.last.ID.Attempt) {
				p.prev, p.last = p.last, a
			}
		}
	}
	if s := StatusOf(v.Pod, c.Name); s != nil && s.ContainerID != "" && (p.last == nil || int(s.RestartCount) > p.last.ID.Attempt) {
		p.last, p.lost = remembered(v.Pod.UID, s), true
	}
	return p
}

// remembered is an attempt as the Pod's status tells it.
func remembered(pod types.UID, s *corev1.ContainerStatus) *runtime.Container {
	c := &runtime.Container{ID: runtime.ContainerID{Pod: pod, Name: s.Name, Attempt: int(s.RestartCount)},
		Image: s.Image, ImageID: s.ImageID, Phase: runtime.Exited}
	t := s.State.Terminated
	if t == nil && s.State.Waiting != nil {
		t = s.LastTerminationState.Terminated
	}
	if t == nil {
		c.ExitCode, c.Reason = 137, "ContainerStatusUnknown"
		c.Message = "The container could not be located when the pod was looked at: its sandbox has died"
		return c
	}
	c.ExitCode, c.Signal, c.Reason, c.Message = int(t.ExitCode), int(t.Signal), t.Reason, t.Message
	c.Started, c.Finished = t.StartedAt.Time, t.FinishedAt.Time
	return c
}

// decide is the restart policy.
func (p part) decide(pod corev1.RestartPolicy, now time.Time) (move, time.Time) {
	switch {
	case p.running():
		return hold, time.Time{}
	case !p.exited():
		return begin, time.Time{}
	case p.role == initial && p.succeeded() && p.lost:
		return begin, time.Time{} // a new sandbox begins with its init containers
	case !p.restarts(pod):
		return done, time.Time{}
	}
	if n := p.streak(); n > 0 {
		if due := p.last.Finished.Add(images.Delay(n)); now.Before(due) {
			return await, due
		}
	}
	return begin, time.Time{}
}

func (p part) restarts(pod corev1.RestartPolicy) bool {
	switch {
	case p.role == sidecar:
		return true
	case p.role == initial:
		return !p.succeeded() && pod != corev1.RestartPolicyNever
	case p.spec.RestartPolicy != nil:
		pod = corev1.RestartPolicy(*p.spec.RestartPolicy)
	}
	return pod == corev1.RestartPolicyAlways || pod == corev1.RestartPolicyOnFailure && !p.succeeded()
}

// initialized reports that the main containers may run: they have, in this sandbox, or all before them is ready.
func initialized(parts []part) bool {
	for _, p := range parts {
		if p.role == mainly && p.last != nil && !p.lost {
			return true
		}
	}
	for _, p := range parts {
		if p.role == initial && (!p.succeeded() || p.lost) || p.role == sidecar && !p.up {
			return false
		}
	}
	return true
}

// failedInit is the init container that failed for good, if one has.
func failedInit(parts []part) *part {
	for i := range parts {
		if p := &parts[i]; p.role == initial && p.next == done && p.exited() && !p.succeeded() {
			return p
		}
	}
	return nil
}

// over reports that the pod's work has ended for good: every main container has, or an init container failed.
func over(parts []part) bool {
	if failedInit(parts) != nil {
		return true
	}
	for _, p := range parts {
		if p.role == mainly && p.next != done {
			return false
		}
	}
	return true
}

// running lists what runs and is to be stopped next: sidecars only once the others are gone.
func running(parts []part) []part {
	var work, sidecars []part
	for _, p := range parts {
		switch {
		case p.running() && p.role == sidecar:
			sidecars = append(sidecars, p)
		case p.running():
			work = append(work, p)
		}
	}
	if len(work) > 0 {
		return work
	}
	return sidecars
}
