package replicaset

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
)

// victim is what makes one Pod go rather than another.
type victim struct {
	pod     *corev1.Pod
	crowd   int // active related Pods on its node
	cost    int
	ready   *corev1.PodCondition // nil unless ready
	restart int32
}

// order compares two Pods, criterion by criterion; who is less goes first. The criteria and their order are Kubernetes'.
var order = []func(a, b victim) int{
	func(a, b victim) int { return first(a.pod.Spec.NodeName == "", b.pod.Spec.NodeName == "") },
	func(a, b victim) int { return phaseRank[a.pod.Status.Phase] - phaseRank[b.pod.Status.Phase] },
	func(a, b victim) int { return first(a.ready == nil, b.ready == nil) },
	func(a, b victim) int { return a.cost - b.cost },
	func(a, b victim) int { return b.crowd - a.crowd },
	func(a, b victim) int { return newer(readySince(a), readySince(b)) },
	func(a, b victim) int { return int(b.restart - a.restart) },
	func(a, b victim) int { return newer(a.pod.CreationTimestamp.Time, b.pod.CreationTimestamp.Time) },
	func(a, b victim) int { return cmp.Compare(a.pod.Name, b.pod.Name) },
}

var phaseRank = map[corev1.PodPhase]int{"": 0, corev1.PodPending: 0, corev1.PodUnknown: 1, corev1.PodRunning: 2}

// ranked returns the Pods in the order in which they go.
func ranked(pods, related []*corev1.Pod) []*corev1.Pod {
	crowd := map[string]int{}
	for _, p := range related {
		if isActive(p) {
			crowd[p.Spec.NodeName]++
		}
	}
	victims := make([]victim, 0, len(pods))
	for _, p := range pods {
		victims = append(victims, newVictim(p, crowd[p.Spec.NodeName]))
	}
	slices.SortFunc(victims, func(a, b victim) int {
		for _, criterion := range order {
			if c := criterion(a, b); c != 0 {
				return c
			}
		}
		return 0
	})
	sorted := make([]*corev1.Pod, 0, len(pods))
	for _, v := range victims {
		sorted = append(sorted, v.pod)
	}
	return sorted
}

func newVictim(p *corev1.Pod, crowd int) victim {
	v := victim{pod: p, crowd: crowd}
	v.cost, _ = strconv.Atoi(p.Annotations[corev1.PodDeletionCost]) // not a number counts as 0, as in Kubernetes
	if api.PodReady(p) {
		v.ready = api.PodCondition(&p.Status, corev1.PodReady)
	}
	for _, s := range p.Status.ContainerStatuses {
		v.restart = max(v.restart, s.RestartCount)
	}
	return v
}

// first puts the one for which a thing holds before the one for which it does not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// newer puts the later time first.
func newer(a, b time.Time) int { return b.Compare(a) }

func readySince(v victim) time.Time {
	if v.ready == nil {
		return time.Time{}
	}
	return v.ready.LastTransitionTime.Time
}
