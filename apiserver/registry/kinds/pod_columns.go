package kinds

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func podColumns() []registry.Column {
	look := func(part func(podLook, time.Time) any) func(*corev1.Pod, time.Time) any {
		return func(p *corev1.Pod, now time.Time) any { return part(lookAt(p), now) }
	}
	return append([]registry.Column{
		registry.NameColumn,
		timed("Ready", "string", "Number of containers that are ready, of those that should run.", look(func(l podLook, _ time.Time) any { return fmt.Sprintf("%d/%d", l.ready, l.total) })),
		timed("Status", "string", "What the pod is doing, or what keeps it.", look(func(l podLook, _ time.Time) any { return l.reason })),
		timed("Restarts", "string", "Number of times that containers were started again, and when last.", look(func(l podLook, now time.Time) any { return l.restarted(now) })),
		registry.AgeColumn,
	}, wide(
		column("IP", "string", "The pod's address.", func(p *corev1.Pod) any { return orElse(firstIP(p), none) }),
		shown[*corev1.Pod]("Node", "spec.nodeName", none, "The node that runs the pod."),
		shown[*corev1.Pod]("Nominated Node", "status.nominatedNodeName", none, "The node on which room is being made for the pod."),
		column("Readiness Gates", "string", "Number of further conditions that are met, of those demanded.", func(p *corev1.Pod) any { return readinessGates(p) }),
	)...)
}

// podLook is a pod in four words. The reason is the most telling one: that of the first init container that is not done, else that of the
// first container that waits or has ended, else the phase.
type podLook struct {
	reason       string
	ready, total int
	restarts     int
	lastRestart  time.Time
}

func lookAt(p *corev1.Pod) podLook {
	l := podLook{reason: orElse(p.Status.Reason, string(p.Status.Phase)), total: len(p.Spec.Containers)}
	for i := range p.Spec.InitContainers {
		if isSidecar(&p.Spec.InitContainers[i]) {
			l.total++
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
			l.reason = corev1.PodReasonSchedulingGated
		}
	}
	initializing, sidecars := l.lookAtInit(p)
	if !initializing || conditionTrue(p, corev1.PodInitialized) {
		l.restarts, l.lastRestart = sidecars.restarts, sidecars.lastRestart // what is done counts no longer
		l.lookAtMain(p)
	}
	switch {
	case p.DeletionTimestamp == nil:
	case p.Status.Reason == "NodeLost":
		l.reason = "Unknown"
	case !api.Ended(p):
		l.reason = "Terminating"
	}
	return l
}

// lookAtInit goes through the init containers up to the first that is not done. It counts all their restarts, and apart from that those of
// sidecars, which run on.
func (l *podLook) lookAtInit(p *corev1.Pod) (initializing bool, lasting podLook) {
	sidecars := map[string]bool{}
	for i := range p.Spec.InitContainers {
		sidecars[p.Spec.InitContainers[i].Name] = isSidecar(&p.Spec.InitContainers[i])
	}
	for i, c := range p.Status.InitContainerStatuses {
		l.count(c)
		if sidecars[c.Name] {
			lasting.count(c)
		}
		switch state := c.State; {
		case state.Terminated != nil && state.Terminated.ExitCode == 0:
		case sidecars[c.Name] && deref(c.Started):
			if c.Ready {
				l.ready++
			}
		default:
			l.reason = "Init:" + initReason(state, i, len(p.Spec.InitContainers))
			return true, lasting
		}
	}
	return false, lasting
}

func initReason(s corev1.ContainerState, i, of int) string {
	switch {
	case s.Terminated != nil:
		return ended(s.Terminated)
	case s.Waiting != nil && s.Waiting.Reason != "" && s.Waiting.Reason != "PodInitializing":
		return s.Waiting.Reason
	}
	return fmt.Sprintf("%d/%d", i, of)
}

func ended(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}

// lookAtMain goes backwards, so that the first container with something to tell has the last word.
func (l *podLook) lookAtMain(p *corev1.Pod) {
	running := false
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := p.Status.ContainerStatuses[i]
		l.count(c)
		switch state := c.State; {
		case state.Waiting != nil && state.Waiting.Reason != "":
			l.reason = state.Waiting.Reason
		case state.Terminated != nil:
			l.reason = ended(state.Terminated)
		case c.Ready && state.Running != nil:
			running = true
			l.ready++
		}
	}
	if l.reason == "Completed" && running { // one is done, another still at work
		l.reason = "NotReady"
		if conditionTrue(p, corev1.PodReady) {
			l.reason = "Running"
		}
	}
}

func (l *podLook) count(c corev1.ContainerStatus) {
	l.restarts += int(c.RestartCount)
	if t := c.LastTerminationState.Terminated; t != nil && t.FinishedAt.After(l.lastRestart) {
		l.lastRestart = t.FinishedAt.Time
	}
}

func (l podLook) restarted(now time.Time) string {
	if l.restarts == 0 || l.lastRestart.IsZero() {
		return fmt.Sprint(l.restarts)
	}
	return fmt.Sprintf("%d (%s ago)", l.restarts, registry.Since(l.lastRestart, now))
}

func conditionTrue(p *corev1.Pod, t corev1.PodConditionType) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == t && c.Status == corev1.ConditionTrue })
}

func firstIP(p *corev1.Pod) string {
	if len(p.Status.PodIPs) > 0 {
		return p.Status.PodIPs[0].IP
	}
	return p.Status.PodIP
}

func readinessGates(p *corev1.Pod) string {
	if len(p.Spec.ReadinessGates) == 0 {
		return none
	}
	met := 0
	for _, g := range p.Spec.ReadinessGates {
		if conditionTrue(p, g.ConditionType) {
			met++
		}
	}
	return fmt.Sprintf("%d/%d", met, len(p.Spec.ReadinessGates))
}
