package pod

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/agent/images"
	"optimist/agent/runtime"
	"optimist/internal/api"
)

// Why a container waits, as Kubernetes words it.
const (
	containerCreating          = "ContainerCreating"
	podInitializing            = "PodInitializing"
	crashLoopBackOff           = "CrashLoopBackOff"
	errImagePull               = "ErrImagePull"
	imagePullBackOff           = "ImagePullBackOff"
	errImageNeverPull          = "ErrImageNeverPull"
	invalidImageName           = "InvalidImageName"
	createContainerConfigError = "CreateContainerConfigError"
	createContainerError       = "CreateContainerError"
	runContainerError          = "RunContainerError"
)

// Status is the view as a PodStatus. What others write (the scheduler's condition, the QoS class) stays.
func Status(v View, now time.Time) *corev1.PodStatus {
	s := v.Pod.Status.DeepCopy()
	parts := look(v, now)
	if s.StartTime == nil {
		s.StartTime = second(now)
	}
	s.ObservedGeneration = v.Pod.Generation
	s.HostIP, s.HostIPs = v.Node.IP, []corev1.HostIP{{IP: v.Node.IP}}
	if a := v.address(); a != "" {
		s.PodIP, s.PodIPs = a, []corev1.PodIP{{IP: a}}
	}
	s.InitContainerStatuses, s.ContainerStatuses = nil, nil
	for _, p := range parts {
		if c := containerStatus(v, p, now); p.role == mainly {
			s.ContainerStatuses = append(s.ContainerStatuses, c)
		} else {
			s.InitContainerStatuses = append(s.InitContainerStatuses, c)
		}
	}
	if !api.Ended(v.Pod) {
		s.Phase = phase(parts)
		if overdue(v.Pod, now) && len(running(parts)) == 0 {
			s.Phase, s.Reason, s.Message = corev1.PodFailed, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
		}
	}
	conditions(v, s, parts, now)
	return s
}

// second is a time as the API keeps it.
func second(t time.Time) *metav1.Time {
	u := metav1.NewTime(t.Truncate(time.Second))
	return &u
}

func containerStatus(v View, p part, now time.Time) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: p.spec.Name, Image: p.spec.Image}
	s.Started = &p.up
	s.Ready = p.fit && p.role != initial || p.role == initial && p.succeeded() && !p.lost
	if p.last != nil {
		s.Image, s.ImageID, s.RestartCount = p.last.Image, p.last.ImageID, int32(p.last.ID.Attempt)
		s.ContainerID = v.Node.Runtime + "://" + p.last.ID.String()
	}
	switch {
	case p.running():
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: *second(p.last.Started)}
	case p.exited() && p.next == done, p.exited() && p.next == begin && !p.refused() && v.Memory.Troubles[p.spec.Name].Reason == "":
		s.State.Terminated = terminated(v, *p.last)
	default:
		s.State.Waiting = waiting(v, p, now)
	}
	s.LastTerminationState.Terminated = before(v, p, s.State)
	return s
}

// refused reports that the newest attempt never ran.
func (p part) refused() bool {
	return p.last != nil && (p.last.Reason == "StartError" || p.last.Reason == "ContainerCannotRun")
}

// before is how the last attempt that is not shown as State ended; one that the runtime has lost is in the Pod's status.
func before(v View, p part, state corev1.ContainerState) *corev1.ContainerStateTerminated {
	told := StatusOf(v.Pod, p.spec.Name)
	switch {
	case state.Waiting != nil && p.exited():
		return terminated(v, *p.last)
	case p.prev != nil && p.prev.Phase == runtime.Exited:
		return terminated(v, *p.prev)
	case p.last == nil || p.last.ID.Attempt == 0 || told == nil:
		return nil
	case int(told.RestartCount) != p.last.ID.Attempt && told.State.Terminated != nil:
		return told.State.Terminated
	default:
		return told.LastTerminationState.Terminated
	}
}

func terminated(v View, c runtime.Container) *corev1.ContainerStateTerminated {
	reason := c.Reason
	if reason == "" {
		if reason = "Error"; c.ExitCode == 0 {
			reason = "Completed"
		}
	}
	return &corev1.ContainerStateTerminated{ExitCode: int32(c.ExitCode), Signal: int32(c.Signal), Reason: reason, Message: c.Message,
		StartedAt: *second(c.Started), FinishedAt: *second(c.Finished), ContainerID: v.Node.Runtime + "://" + c.ID.String()}
}

func waiting(v View, p part, now time.Time) *corev1.ContainerStateWaiting {
	t, failed := v.Memory.Troubles[p.spec.Name]
	switch {
	case p.next == await:
		return &corev1.ContainerStateWaiting{Reason: crashLoopBackOff, Message: fmt.Sprintf("back-off %v restarting failed container=%s pod=%s",
			images.Delay(p.streak()), p.spec.Name, fullName(v.Pod))}
	case failed && t.Reason == errImagePull && !now.Before(t.Since.Add(firstSight)):
		return &corev1.ContainerStateWaiting{Reason: imagePullBackOff, Message: fmt.Sprintf("Back-off pulling image %q: %s: %s", p.spec.Image, t.Reason, t.Message)}
	case failed:
		return &corev1.ContainerStateWaiting{Reason: t.Reason, Message: t.Message}
	case p.refused():
		return &corev1.ContainerStateWaiting{Reason: runContainerError, Message: p.last.Message}
	case len(v.Pod.Spec.InitContainers) > 0:
		return &corev1.ContainerStateWaiting{Reason: podInitializing}
	default:
		return &corev1.ContainerStateWaiting{Reason: containerCreating}
	}
}

// fullName is how the kubelet's messages name a pod.
func fullName(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
}

// phase sums the containers up. Sidecars do not count, but the pod is not over while they run.
func phase(parts []part) corev1.PodPhase {
	var unbegun, alive, failed int
	for _, p := range parts {
		switch {
		case p.role != mainly:
		case p.running(), p.exited() && p.next != done:
			alive++
		case !p.exited():
			unbegun++
		case !p.succeeded():
			failed++
		}
	}
	stopped := len(running(parts)) == 0
	switch {
	case failedInit(parts) != nil && stopped:
		return corev1.PodFailed
	case unbegun > 0:
		return corev1.PodPending
	case alive > 0 || !stopped:
		return corev1.PodRunning
	case failed > 0:
		return corev1.PodFailed
	default:
		return corev1.PodSucceeded
	}
}

// conditions sets those that this agent owns.
func conditions(v View, s *corev1.PodStatus, parts []part, now time.Time) {
	set := func(t corev1.PodConditionType, ok bool, reason, message string) {
		setCondition(s, v.Pod.Generation, now, t, ok, reason, message)
	}
	over := map[corev1.PodPhase]string{corev1.PodSucceeded: "PodCompleted", corev1.PodFailed: "PodFailed"}[s.Phase]
	set(corev1.PodReadyToStartContainers, v.address() != "" && over == "", "", "")

	inits, lagging := unready(s.InitContainerStatuses), unready(s.ContainerStatuses)
	switch {
	case s.Phase == corev1.PodSucceeded:
		set(corev1.PodInitialized, true, over, "")
	case initialized(parts) || len(inits) == 0:
		set(corev1.PodInitialized, true, "", "")
	default:
		set(corev1.PodInitialized, false, "ContainersNotInitialized", fmt.Sprintf("containers with incomplete status: %v", inits))
	}

	for _, p := range parts {
		if p.role == sidecar && slices.Contains(inits, p.spec.Name) {
			lagging = append(lagging, p.spec.Name)
		}
	}
	ready, reason, message := over == "", over, ""
	if ready && len(lagging) > 0 {
		ready, reason, message = false, "ContainersNotReady", fmt.Sprintf("containers with unready status: %v", lagging)
	}
	set(corev1.ContainersReady, ready, reason, message)
	var gates []string
	for _, g := range v.Pod.Spec.ReadinessGates {
		if c := api.PodCondition(s, g.ConditionType); c == nil || c.Status != corev1.ConditionTrue {
			gates = append(gates, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist or is not True.", g.ConditionType))
		}
	}
	if ready && len(gates) > 0 {
		ready, reason, message = false, "ReadinessGatesNotReady", strings.Join(gates, ", ")
	}
	set(corev1.PodReady, ready, reason, message)
}

func unready(all []corev1.ContainerStatus) []string {
	var names []string
	for _, c := range all {
		if !c.Ready {
			names = append(names, c.Name)
		}
	}
	return names
}

func setCondition(s *corev1.PodStatus, generation int64, now time.Time, t corev1.PodConditionType, ok bool, reason, message string) {
	c := api.PodCondition(s, t)
	if c == nil {
		s.Conditions = append(s.Conditions, corev1.PodCondition{Type: t})
		c = &s.Conditions[len(s.Conditions)-1]
	}
	status := corev1.ConditionFalse
	if ok {
		status = corev1.ConditionTrue
	}
	if c.Status != status {
		c.Status, c.LastTransitionTime = status, *second(now)
	}
	c.Reason, c.Message, c.ObservedGeneration = reason, message, generation
}
