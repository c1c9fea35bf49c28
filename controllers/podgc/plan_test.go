package podgc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// pod makes a Pod out of words: "a n1 Running ending" is on node n1 and being deleted; "gone" was told to go without grace.
func pod(text string) *corev1.Pod {
	words := strings.Fields(text)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: words[0]}}
	for _, w := range words[1:] {
		switch w {
		case "ending", "gone":
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: now}, new(int64(30))
			if w == "gone" {
				*p.DeletionGracePeriodSeconds = 0
			}
		case "Running", "Failed", "Succeeded", "Pending":
			p.Status.Phase = corev1.PodPhase(w)
		case "evicted":
			p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted"
		default:
			p.Spec.NodeName = w
		}
	}
	return p
}

func node(ready corev1.ConditionStatus, taints ...string) *corev1.Node {
	n := &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}}}
	for _, t := range taints {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: t, Effect: corev1.TaintEffectNoExecute})
	}
	return n
}

// words tells what is planned: "a: patch delete".
func words(all []removal) string {
	var texts []string
	for _, r := range all {
		text := r.pod.Name + ":"
		for _, s := range r.steps {
			text += " " + string(s.Verb)
			if s.Patch != nil && strings.Contains(string(s.Patch.Data), "DisruptionTarget") {
				text += "+condition"
			}
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

func TestPlan(t *testing.T) {
	off := node(corev1.ConditionUnknown, corev1.TaintNodeOutOfService)
	for _, row := range []struct {
		name string
		v    view
		want string
	}{
		{"pods of a node that does not exist are forced away", view{absent: true, pods: []*corev1.Pod{pod("a n1 Running"), pod("b n1 Running ending")}},
			"a: patch+condition delete, b: patch+condition delete"},
		{"one that had ended keeps its end", view{absent: true, pods: []*corev1.Pod{pod("a n1 Succeeded")}}, "a: delete"},
		{"one that only a finalizer holds is left to it", view{absent: true, pods: []*corev1.Pod{pod("a n1 Failed gone")}}, ""},
		{"a node that exists keeps its pods", view{node: node(corev1.ConditionUnknown), pods: []*corev1.Pod{pod("a n1 Running ending")}}, ""},
		{"an out-of-service node loses what is to end", view{node: off, pods: []*corev1.Pod{pod("a n1 Running"), pod("b n1 Running ending")}}, "b: patch+condition delete"},
		{"but not while it says that it is ready", view{node: node(corev1.ConditionTrue, corev1.TaintNodeOutOfService), pods: []*corev1.Pod{pod("a n1 Running ending")}}, ""},
		{"what is bound nowhere has nobody to confirm its end", view{pods: []*corev1.Pod{pod("a Pending gone"), pod("b Pending")}}, "a: patch"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := words(plan(row.v, now)); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestEndedPodsAboveTheThresholdGo(t *testing.T) {
	var v view
	for i := range threshold + 2 {
		p := pod(fmt.Sprintf("p%d n1 Succeeded", i))
		p.CreationTimestamp = metav1.NewTime(now.Add(-time.Duration(i%100) * time.Hour))
		v.ended = append(v.ended, p)
	}
	v.ended = append(v.ended, pod("out n1 evicted"))
	if got := words(plan(v, now)); got != "out: delete, p10099: delete, p10199: delete" {
		t.Error(got)
	}
	v.ended = v.ended[:threshold]
	if got := words(plan(v, now)); got != "" {
		t.Error(got)
	}
}
