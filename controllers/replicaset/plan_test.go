package replicaset

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"optimist/internal/api"
	"optimist/internal/api/apitest"
	"optimist/internal/reconcile"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newSet(t testing.TB, replicas int32) *appsv1.ReplicaSet {
	s := apitest.As[*appsv1.ReplicaSet](t, `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web, namespace: default, uid: r1, generation: 3}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, tier: front}}
    spec: {containers: [{name: web, image: web}]}
`)
	s.Spec.Replicas = &replicas
	return s
}

// pod makes a Pod of the set out of words: "a ready n1 cost=5 old" is named a, ready and on node n1.
func pod(set *appsv1.ReplicaSet, text string) *corev1.Pod {
	words := strings.Fields(text)
	p := newPod(set, words[0])
	p.UID, p.CreationTimestamp = types.UID(words[0]), metav1.NewTime(start)
	p.Status.Phase = corev1.PodPending
	for _, word := range words[1:] {
		describe(p, word)
	}
	return p
}

func describe(p *corev1.Pod, word string) {
	key, value, _ := strings.Cut(word, "=")
	age, _ := time.ParseDuration(value)
	then := metav1.NewTime(start.Add(-age))
	switch key {
	case "ready": // ready=10s: for ten seconds
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: then}}
	case "running":
		p.Status.Phase = corev1.PodRunning
	case "failed":
		p.Status.Phase = corev1.PodFailed
	case "succeeded":
		p.Status.Phase = corev1.PodSucceeded
	case "ending":
		p.DeletionTimestamp = &then
	case "cost":
		p.Annotations = map[string]string{corev1.PodDeletionCost: value}
	case "age":
		p.CreationTimestamp = then
	case "restarted":
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 3}}
	case "orphan":
		p.OwnerReferences = nil
	case "theirs":
		p.OwnerReferences = []metav1.OwnerReference{{UID: "another", Controller: new(true)}}
	case "relabelled":
		p.Labels = map[string]string{"app": "else"}
	default:
		p.Spec.NodeName = word
	}
}

func viewOf(set *appsv1.ReplicaSet, pods ...string) view {
	v := view{set: set}
	for _, text := range pods {
		v.pods = append(v.pods, pod(set, text))
	}
	v.related = v.pods
	v.taken = func(name string) bool {
		return slices.ContainsFunc(v.pods, func(p *corev1.Pod) bool { return p.Name == name })
	}
	return v
}

func words(steps []reconcile.Action) string {
	var all []string
	creates := 0
	for _, a := range steps {
		switch {
		case a.Verb == api.VerbCreate:
			creates++
		case a.Sub == "status":
			s := a.Body.(*appsv1.ReplicaSet).Status
			all = append(all, fmt.Sprintf("status %d/%d/%d/%d ending %d", s.Replicas, s.FullyLabeledReplicas, s.ReadyReplicas, s.AvailableReplicas, *s.TerminatingReplicas))
		case a.Verb == api.VerbPatch && a.Fresh:
			all = append(all, "adopt "+a.Key.Name)
		case a.Verb == api.VerbPatch:
			all = append(all, "release "+a.Key.Name)
		default:
			all = append(all, string(a.Verb)+" "+a.Key.Name)
		}
	}
	if creates > 0 {
		all = append(all, fmt.Sprintf("create %d", creates))
	}
	return strings.Join(all, ", ")
}

func TestPlan(t *testing.T) {
	for _, row := range []struct {
		name     string
		replicas int32
		pods     []string
		want     string
	}{
		{"missing pods are created", 3, []string{"a ready"}, "create 2"},
		{"failed and succeeded pods are replaced", 2, []string{"a failed", "b succeeded", "c ready"}, "create 1"},
		{"a pod on its way out is replaced at once", 1, []string{"a ready ending"}, "create 1"},
		{"others' pods do not count", 1, []string{"a ready theirs"}, "create 1"},
		{"an orphan is adopted before anything is created", 2, []string{"a ready orphan"}, "adopt a"},
		{"an orphan on its way out is not", 1, []string{"a orphan ending"}, "create 1"},
		{"a pod whose labels changed is released", 1, []string{"a ready relabelled"}, "release a"},
		{"unassigned pods go first", 1, []string{"a n1", "b"}, "delete b"},
		{"pending ones before running ones", 1, []string{"a running n1", "b n2"}, "delete b"},
		{"unready ones before ready ones", 1, []string{"a ready n1", "b running n2"}, "delete b"},
		{"cheap ones before dear ones", 1, []string{"a ready n1", "b ready n2 cost=-1"}, "delete b"},
		{"doubled-up ones before single ones", 2, []string{"a ready n1", "b ready n2", "c ready n1 age=1h"}, "delete a"},
		{"those ready for a short time before those ready for long", 1, []string{"a ready=1h n1", "b ready=1s n2"}, "delete b"},
		{"restarted ones before steady ones", 1, []string{"a ready n1", "b ready n2 restarted"}, "delete b"},
		{"newer ones before older ones", 1, []string{"a ready n1 age=2h", "b ready n2 age=1h"}, "delete b"},
		{"when the number is right the status is written", 3, []string{"a ready", "b running", "c", "d ready ending"}, "status 3/3/1/1 ending 1"},
		{"all may go", 0, []string{"a", "b ready n1"}, "delete a, delete b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			steps, _ := plan(viewOf(newSet(t, row.replicas), row.pods...), start)
			if got := words(steps); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

func TestMinReadySeconds(t *testing.T) {
	set := newSet(t, 2)
	set.Spec.MinReadySeconds = 10
	steps, again := plan(viewOf(set, "a ready=30s", "b ready=4s"), start)
	if got := words(steps); got != "status 2/2/2/1 ending 0" || again != 6*time.Second {
		t.Errorf("%s, again after %v", got, again)
	}
}

func TestASetThatIsDeletedLeavesItsPodsToTheGarbageCollector(t *testing.T) {
	set := newSet(t, 2)
	set.DeletionTimestamp = &metav1.Time{Time: start}
	if steps, _ := plan(viewOf(set, "a ready", "b orphan"), start); words(steps) != "status 1/1/1/1 ending 0" {
		t.Error(words(steps))
	}
}

func TestFailureBecomesACondition(t *testing.T) {
	v := viewOf(newSet(t, 2), "a ready")
	c := status(v, start, errors.New("quota exceeded")).Conditions
	if len(c) != 1 || c[0].Type != appsv1.ReplicaSetReplicaFailure || c[0].Reason != "FailedCreate" || c[0].Message != "quota exceeded" {
		t.Fatalf("%+v", c)
	}
	v.set.Status.Conditions = c
	if c := status(v, start, nil).Conditions; len(c) != 0 {
		t.Fatalf("after a success: %+v", c)
	}
}

// From whatever Pods there are, plans applied until they are empty end with the wanted number, and touch nobody else's.
func TestPlansEndWithTheWantedNumber(t0 *testing.T) {
	rapid.Check(t0, func(t *rapid.T) {
		set := newSet(t0, rapid.Int32Range(0, 20).Draw(t, "replicas"))
		trait := rapid.SampledFrom([]string{"ready", "running", "failed", "succeeded", "ending", "orphan", "theirs", "relabelled", "n1", "n2", "cost=3"})
		v := viewOf(set)
		for i := range rapid.IntRange(0, 15).Draw(t, "pods") {
			name := fmt.Sprintf("p%d", i)
			if rapid.Bool().Draw(t, "named like ours") {
				name = reconcile.ChildName(set, i)
			}
			v.pods = append(v.pods, pod(set, name+" "+strings.Join(rapid.SliceOfN(trait, 0, 3).Draw(t, "traits"), " ")))
		}
		v.taken = func(name string) bool {
			return slices.ContainsFunc(v.pods, func(p *corev1.Pod) bool { return p.Name == name })
		}
		strangers := countOthers(v)
		for rounds := 0; ; rounds++ {
			steps, _ := plan(v, start)
			if len(steps) == 0 {
				break
			}
			if rounds > 10 {
				t.Fatal("the plans do not end:", words(steps))
			}
			for _, a := range steps {
				apply(t, &v, a)
			}
		}
		active := 0
		for _, p := range v.pods {
			if c := metav1.GetControllerOfNoCopy(p); c != nil && c.UID == set.UID && isActive(p) {
				active++
			}
		}
		if active != int(*set.Spec.Replicas) || countOthers(v) != strangers {
			t.Fatalf("%d pods are active, %d others' of %d", active, countOthers(v), strangers)
		}
	})
}

func countOthers(v view) (n int) {
	for _, p := range v.pods {
		if c := metav1.GetControllerOfNoCopy(p); c != nil && c.UID == "another" {
			n++
		}
	}
	return n
}

// apply carries a step out on a view, as the API server would.
func apply(t *rapid.T, v *view, a reconcile.Action) {
	if a.Sub == "status" {
		v.set = a.Body.(*appsv1.ReplicaSet)
		return
	}
	i := slices.IndexFunc(v.pods, func(p *corev1.Pod) bool { return p.Name == a.Key.Name })
	switch {
	case a.Verb == api.VerbCreate && i >= 0:
		t.Fatal("a Pod of that name exists:", a)
	case a.Verb == api.VerbCreate:
		v.pods = append(v.pods, a.Body.(*corev1.Pod))
	case a.Verb == api.VerbDelete:
		v.pods = slices.Delete(v.pods, i, i+1)
	case a.Fresh:
		v.pods[i] = v.pods[i].DeepCopy()
		v.pods[i].OwnerReferences = []metav1.OwnerReference{reconcile.OwnerRef(v.set)}
	default:
		v.pods[i] = v.pods[i].DeepCopy()
		v.pods[i].OwnerReferences = nil
	}
}
