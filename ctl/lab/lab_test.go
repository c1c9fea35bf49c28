package lab

import (
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// In an empty namespace nothing is done, whatever the table says.
func TestNothingIsDoneByItself(t *testing.T) {
	for i, l := range All() {
		if l.Number != i+1 || len(l.Answers) == 0 {
			t.Errorf("lab %d stands at place %d, with the answers %q", l.Number, i+1, l.Answers)
		}
		for _, s := range l.Steps {
			if s.Done(look{}) {
				t.Errorf("lab %d: %q is done before it has begun", l.Number, s.Text)
			}
		}
	}
}

// What a page applies anew is what the lab began with.
func TestFleetIsTheSameTwice(t *testing.T) {
	begun, err := setup.ReadFile("setup/2.yaml")
	page, err2 := os.ReadFile("../../docs/labs/fleet.yaml")
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	body := func(text []byte) string { _, rest, _ := strings.Cut(string(text), "\n"); return rest }
	if body(begun) != body(page) {
		t.Error("ctl/lab/setup/2.yaml and docs/labs/fleet.yaml differ below their first lines")
	}
}

func TestAnswers(t *testing.T) {
	for _, row := range []struct {
		lab    int
		answer string
		right  bool
	}{
		{1, "replicaset", true}, {1, "The ReplicaSet controller.", true}, {1, "the scheduler", false}, {1, "", false}, {1, "the deployment controller", false},
		{2, "4", true}, {2, "four pods", true}, {2, "3", false},
		{3, "Nobody's!", true}, {3, "none", true}, {3, "the agent", false},
		{4, "No process.", true}, {4, "nobody", true}, {4, "the proxy", false}, {5, "50 s", true}, {5, "Fifty seconds", true}, {5, "40", false},
	} {
		if got := All()[row.lab-1].right(row.answer); got != row.right {
			t.Errorf("lab %d, %q: right is %v", row.lab, row.answer, got)
		}
	}
}

func pod(name, app string, age time.Duration, owner *appsv1.ReplicaSet) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": app}, CreationTimestamp: metav1.NewTime(time.Unix(1000, 0).Add(-age))},
		Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	if owner != nil {
		p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, api.ReplicaSetKind.GVK(""))}
	}
	return p
}

func event(about, reason string, count int32) *corev1.Event {
	return &corev1.Event{InvolvedObject: corev1.ObjectReference{Name: about}, Reason: reason, Count: count}
}

// The looks of lab 2 tell apart what is easily confused.
func TestLooksOfTheReconcileLoop(t *testing.T) {
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "fleet", UID: "new", CreationTimestamp: metav1.Unix(1000, 0)}}
	three := func(age time.Duration) []*corev1.Pod {
		return []*corev1.Pod{pod("a", "fleet", age, set), pod("b", "fleet", age, set), pod("c", "fleet", age, set)}
	}
	for _, row := range []struct {
		name string
		at   look
		done string // of the four steps
	}{
		{"as it begins", look{pods: three(0), events: []*corev1.Event{event("fleet", "SuccessfulCreate", 3)}}, "····"},
		{"one was replaced", look{pods: three(0), events: []*corev1.Event{event("fleet", "SuccessfulCreate", 4)}}, "✓···"},
		{"one was released: that is no deletion", look{pods: append(three(0), pod("d", "drydock", 0, nil)), events: []*corev1.Event{event("fleet", "SuccessfulCreate", 4)}}, "·✓··"},
		{"both", look{pods: append(three(0), pod("d", "drydock", 0, nil)), events: []*corev1.Event{event("fleet", "SuccessfulCreate", 5)}}, "✓✓··"},
		{"one was too many", look{pods: three(0), events: []*corev1.Event{event("fleet", "SuccessfulDelete", 0)}}, "··✓·"},
		{"another set's events", look{pods: three(0), events: []*corev1.Event{event("flee", "SuccessfulDelete", 1)}}, "····"},
		{"older than their set", look{pods: three(time.Minute), sets: []*appsv1.ReplicaSet{set}}, "···✓"},
		{"younger than their set", look{pods: three(-time.Minute), sets: []*appsv1.ReplicaSet{set}}, "····"},
	} {
		var done string
		for _, s := range reconcileLoop.Steps {
			done += map[bool]string{true: "✓", false: "·"}[s.Done(row.at)]
		}
		if done != row.done {
			t.Errorf("%s: %s, want %s", row.name, done, row.done)
		}
	}
}
