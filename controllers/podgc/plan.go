package podgc

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

const (
	quarantine = 40 * time.Second
	threshold  = 12500
	burst      = 500 // bounds how many ended pods one plan removes; their going brings us back
)

// view is what a plan is made from: the pods of one node, or of none.
type view struct {
	node   *corev1.Node // nil = none, or absent
	absent bool         // the server has said so after the quarantine
	pods   []*corev1.Pod
	ended  []*corev1.Pod // only for the key "": all that have ended, wherever
}

// removal is what is done about one pod.
type removal struct {
	pod   *corev1.Pod
	steps []reconcile.Action
}

func plan(v view, now time.Time) (all []removal) {
	for _, p := range v.pods {
		switch ending := p.DeletionTimestamp != nil; {
		case v.absent:
			all = append(all, force(p, "its node does not exist any more", "PodGC: node no longer exists", now))
		case ending && v.node != nil && outOfService(v.node):
			all = append(all, force(p, "its node is not ready and marked out-of-service", "PodGC: node is out-of-service", now))
		case ending && p.Spec.NodeName == "" && !api.Ended(p):
			all = append(all, force(p, "it is bound to no node", "", now))
		}
	}
	for _, p := range tooMany(v.ended) {
		all = append(all, force(p, "more than 12500 pods have ended", "", now))
	}
	return slices.DeleteFunc(all, func(r removal) bool { return len(r.steps) == 0 })
}

// outOfService reports that somebody vouches for a node's being off, and that it does not say otherwise.
func outOfService(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService }) &&
		!api.NodeReady(n)
}

// tooMany are the ended pods above the threshold: evicted ones, then the oldest.
func tooMany(pods []*corev1.Pod) []*corev1.Pod {
	n := min(len(pods)-threshold, burst)
	if n <= 0 {
		return nil
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(kept(a), kept(b)), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	return pods[:n]
}

func kept(p *corev1.Pod) int {
	if p.Status.Phase == corev1.PodFailed && p.Status.Reason == "Evicted" {
		return 0
	}
	return 1
}

// force plans a pod's end without its agent: the phase says Failed, so that nobody takes it for running, if a finalizer still holds it. disrupted
// is the message of its condition; "" = it gets none.
func force(p *corev1.Pod, why, disrupted string, now time.Time) removal {
	r := removal{pod: p}
	if !api.Ended(p) {
		s := corev1.PodStatus{Phase: corev1.PodFailed}
		if disrupted != "" {
			s.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, ObservedGeneration: p.Generation,
				Reason: "DeletionByPodGC", Message: disrupted, LastTransitionTime: metav1.NewTime(now)}}
		}
		data, _ := json.Marshal(map[string]any{"status": s}) // of typed objects this never fails
		a := reconcile.Patch(api.PodKind, p, string(data), why, nil)
		a.Sub = "status"
		r.steps = append(r.steps, a)
	}
	if g := p.DeletionGracePeriodSeconds; g == nil || *g > 0 {
		a := reconcile.Delete(api.PodKind, p, why, nil)
		a.Grace = new(int64(0))
		r.steps = append(r.steps, a)
	}
	return r
}
