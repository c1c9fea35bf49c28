package tainteviction

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api/apitest"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestPlan(t *testing.T) {
	const lost, repair = "unreachable NoExecute 100s", "repair NoExecute 0s"
	for _, row := range []struct {
		name   string
		spec   string
		taints []string // key, effect, for how long
		want   string
		again  string
	}{
		{"what is not tolerated goes at once", `{}`, []string{repair}, "patch delete", "0s"},
		{"a taint that only keeps others away drives nobody out", `{}`, []string{"a NoSchedule 1h", "b PreferNoSchedule 1h"}, "", "0s"},
		{"a toleration without an end holds for ever", `{tolerations: [{key: repair, operator: Exists}]}`, []string{repair}, "", "0s"},
		{"one for everything too", `{tolerations: [{operator: Exists}]}`, []string{repair, lost}, "", "0s"},
		{"of another value it does not help", `{tolerations: [{key: repair, value: x}]}`, []string{repair}, "patch delete", "0s"},
		{"seconds count from when the taint was added", `{tolerations: [{key: unreachable, operator: Exists, tolerationSeconds: 300}]}`, []string{lost}, "", "3m20s"},
		{"when they are over the pod goes", `{tolerations: [{key: unreachable, operator: Exists, tolerationSeconds: 100}]}`, []string{lost}, "patch delete", "0s"},
		{"none and less than none are none", `{tolerations: [{key: repair, operator: Exists, tolerationSeconds: -5}]}`, []string{repair}, "patch delete", "0s"},
		{"the taint whose time is over first counts", `{tolerations: [{key: repair, operator: Exists, tolerationSeconds: 60}, {key: unreachable, operator: Exists, tolerationSeconds: 150}]}`,
			[]string{repair, lost}, "", "50s"},
		{"one that is not tolerated counts more", `{tolerations: [{key: unreachable, operator: Exists, tolerationSeconds: 300}]}`, []string{lost, repair}, "patch delete", "0s"},
		{"of two tolerations of a taint the first counts", `{tolerations: [{key: repair, operator: Exists, tolerationSeconds: 60}, {operator: Exists, tolerationSeconds: 5}]}`, []string{repair}, "", "1m0s"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := apitest.As[*corev1.Pod](t, `{apiVersion: v1, kind: Pod, metadata: {namespace: default, name: a}, spec: `+row.spec+`}`)
			steps, again := plan(p, taints(row.taints), now)
			var got []string
			for _, s := range steps {
				got = append(got, string(s.Verb))
			}
			if strings.Join(got, " ") != row.want || again.String() != row.again {
				t.Errorf("got %v, again in %s; want %q, %s", got, again, row.want, row.again)
			}
		})
	}
}

func taints(texts []string) (all []corev1.Taint) {
	for _, text := range texts {
		w := strings.Fields(text)
		d, _ := time.ParseDuration(w[2])
		added := metav1.NewTime(now.Add(-d))
		all = append(all, corev1.Taint{Key: w[0], Effect: corev1.TaintEffect(w[1]), TimeAdded: &added})
	}
	return all
}

// A pod whose condition was written before we died is only deleted; one that is being deleted is left alone.
func TestWhatWasBegunIsFinished(t *testing.T) {
	p := &corev1.Pod{}
	for i, want := range []int{2, 1, 0} {
		switch i {
		case 1:
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByTaintManager"}}
		case 2:
			p.DeletionTimestamp = &metav1.Time{Time: now}
		}
		if steps, _ := plan(p, taints([]string{"repair NoExecute 0s"}), now); len(steps) != want {
			t.Errorf("%d steps, want %d: %v", len(steps), want, steps)
		}
	}
}
