package deployment

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"optimist/internal/api"
	"optimist/internal/api/apitest"
	"optimist/internal/reconcile"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// size is a ReplicaSet in numbers: how many Pods it asks for, and how many are available.
type size struct{ asks, available int32 }

// deploy is a Deployment in its second template.
func deploy(t testing.TB, replicas int32, surge, unavailable string) *appsv1.Deployment {
	d := apitest.As[*appsv1.Deployment](t, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default, uid: d1, generation: 2, annotations: {deployment.kubernetes.io/revision: "2"}}
spec:
  selector: {matchLabels: {app: web}}
  progressDeadlineSeconds: 600
  revisionHistoryLimit: 10
  strategy: {type: RollingUpdate, rollingUpdate: {}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:2"}]}
`)
	d.Spec.Replicas = &replicas
	s, u := intstr.Parse(surge), intstr.Parse(unavailable)
	d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: &s, MaxUnavailable: &u}
	if surge == "recreate" {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	}
	return d
}

// set is the ReplicaSet of the n-th template, as the Deployment would have made it.
func set(d *appsv1.Deployment, n int, s size) *appsv1.ReplicaSet {
	then := d.DeepCopy()
	then.Spec.Template.Spec.Containers[0].Image = fmt.Sprintf("web:%d", n)
	r := newSet(then, fmt.Sprintf("t%d", n))
	r.UID = types.UID(r.Name)
	r.CreationTimestamp = metav1.NewTime(start.Add(time.Duration(n) * time.Minute))
	r.Spec.Replicas = &s.asks
	r.Status = appsv1.ReplicaSetStatus{Replicas: s.asks, ReadyReplicas: s.available, AvailableReplicas: s.available}
	rollout{view: view{deployment: d}}.noteSize(r)
	noteRevision(d, r, int64(n))
	return r
}

func nobody(string) bool { return false }

// sizes writes a plan's effect on ReplicaSets in one line: "t1 3→2, create 1".
func sizes(v view, steps []reconcile.Action) string {
	var words []string
	for _, a := range steps {
		if !a.Kind.Is(api.ReplicaSetKind) {
			continue
		}
		switch a.Verb {
		case api.VerbCreate:
			words = append(words, fmt.Sprintf("create %d", *a.Body.(*appsv1.ReplicaSet).Spec.Replicas))
		case api.VerbDelete:
			words = append(words, "delete "+short(a.Key.Name))
		case api.VerbUpdate:
			for _, s := range v.sets {
				if s.Name == a.Key.Name {
					words = append(words, fmt.Sprintf("%s %d→%d", short(s.Name), *s.Spec.Replicas, *a.Body.(*appsv1.ReplicaSet).Spec.Replicas))
				}
			}
		default:
			words = append(words, string(a.Verb)+" "+short(a.Key.Name))
		}
	}
	return strings.Join(words, ", ")
}

func short(name string) string { return strings.TrimPrefix(name, "web-") }

// The new template is t2. Rows give the ReplicaSets as {asked for, available}; t1 is old, t2 new.
func TestRollingUpdate(t *testing.T) {
	for _, row := range []struct {
		name               string
		replicas           int32
		surge, unavailable string
		sets               map[int]size
		want               string
	}{
		{"a first template is created in full", 3, "25%", "25%", nil, "create 3"},
		{"a surge of 25 % of 3 rounds up to 1", 3, "25%", "25%", map[int]size{1: {3, 3}}, "create 1"},
		{"a surge of 25 % of 8 is 2", 8, "25%", "25%", map[int]size{1: {8, 8}}, "create 2"},
		{"without surge the new one starts empty", 3, "0", "1", map[int]size{1: {3, 3}}, "create 0"},
		{"without surge an old pod goes first", 3, "0", "1", map[int]size{1: {3, 3}, 2: {0, 0}}, "t1 3→2"},
		{"both limits 0 would be a deadlock: one may be missing", 3, "0", "0%", map[int]size{1: {3, 3}, 2: {0, 0}}, "t1 3→2"},
		{"unavailability of 25 % of 3 rounds down to 0: wait for the new pod", 3, "25%", "25%", map[int]size{1: {3, 3}, 2: {1, 0}}, ""},
		{"an available new pod lets an old one go", 3, "25%", "25%", map[int]size{1: {3, 3}, 2: {1, 1}}, "t1 3→2"},
		{"and then the next new one comes", 3, "25%", "25%", map[int]size{1: {2, 2}, 2: {1, 1}}, "t2 1→2"},
		{"new pods that are not available count against the old", 10, "30%", "20%", map[int]size{1: {8, 8}, 2: {5, 0}}, ""},
		{"broken old pods go first, since nobody misses them", 10, "30%", "20%", map[int]size{1: {8, 5}, 2: {5, 5}}, "t1 8→3"},
		{"a wholly broken old template goes as far as the new one is there", 4, "1", "0", map[int]size{1: {4, 0}, 2: {1, 1}}, "t1 4→3"},
		{"several old ones shrink oldest first", 4, "0", "1", map[int]size{0: {2, 2}, 1: {2, 2}, 2: {0, 0}}, "t0 2→1"},
		{"a new one that is too large shrinks", 2, "1", "0", map[int]size{2: {3, 3}}, "t2 3→2"},
		{"nothing is left to do", 3, "1", "0", map[int]size{1: {0, 0}, 2: {3, 3}}, ""},
		{"old pods wait for Recreate's end", 3, "recreate", "", map[int]size{1: {3, 3}}, "t1 3→0"},
		{"Recreate creates once they are gone", 3, "recreate", "", map[int]size{1: {0, 0}}, "create 3"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := deploy(t, row.replicas, row.surge, row.unavailable)
			v := view{deployment: d, taken: nobody}
			for n := range 3 {
				if s, ok := row.sets[n]; ok {
					v.sets = append(v.sets, set(d, n, s))
				}
			}
			if got := sizes(v, resizing(v)); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

// resizing is the plan, past the stages that only write statuses and annotations.
func resizing(v view) []reconcile.Action {
	r := sortOut(v, v.sets, start)
	for _, stage := range stages(r) {
		if steps := stage(r); sizes(v, steps) != "" {
			return steps
		}
	}
	return nil
}

// When the size changes while a rollout is under way, old and new keep their proportion.
func TestScaling(t *testing.T) {
	for _, row := range []struct {
		name     string
		from, to int32
		sets     map[int]size
		want     string
	}{
		{"one ReplicaSet takes it all", 3, 5, map[int]size{2: {3, 3}}, "t2 3→5"},
		{"also down to nothing", 3, 0, map[int]size{2: {3, 3}}, "t2 3→0"},
		{"two share in proportion: 10 + 1 becomes 20 + 1", 10, 20, map[int]size{1: {9, 9}, 2: {2, 2}}, "t1 9→17, t2 2→4"},
		{"and so do they shrink", 10, 5, map[int]size{1: {8, 8}, 2: {3, 3}}, "t1 8→4, t2 3→2"},
		{"of two equals the newer gets what rounding leaves", 9, 10, map[int]size{1: {5, 5}, 2: {5, 5}}, "t2 5→6, t1 5→5"},
		{"to 0 all go", 4, 0, map[int]size{1: {3, 3}, 2: {2, 1}}, "t1 3→0, t2 2→0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := deploy(t, row.from, "1", "0")
			v := view{deployment: d.DeepCopy(), taken: nobody}
			v.deployment.Spec.Replicas = &row.to
			for n := range 3 {
				if s, ok := row.sets[n]; ok {
					v.sets = append(v.sets, set(d, n, s))
				}
			}
			if got := sizes(v, resizing(v)); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

func TestConditions(t *testing.T) {
	progressing := func(reason string) *appsv1.DeploymentCondition {
		return &appsv1.DeploymentCondition{Type: appsv1.DeploymentProgressing, Status: "True", Reason: reason, LastUpdateTime: metav1.NewTime(start)}
	}
	for _, row := range []struct {
		name   string
		before *appsv1.DeploymentCondition
		change func(*appsv1.Deployment)
		sets   map[int]size
		after  time.Duration
		want   string
	}{
		{"a rollout that got further is progressing", progressing("NewReplicaSetCreated"), nil, map[int]size{1: {2, 2}, 2: {2, 1}}, 0, "Available, Progressing: ReplicaSetUpdated"},
		{"a complete one has its new ReplicaSet available", progressing("ReplicaSetUpdated"), nil, map[int]size{2: {3, 3}}, 0, "Available, Progressing: NewReplicaSetAvailable"},
		{"pods that fail later do not undo it", progressing("NewReplicaSetAvailable"), nil, map[int]size{2: {3, 1}}, time.Hour, "not Available, Progressing: NewReplicaSetAvailable"},
		{"one that stands still is given its time", progressing("ReplicaSetUpdated"), standing, map[int]size{1: {3, 3}, 2: {1, 0}}, 599 * time.Second, "Available, Progressing: ReplicaSetUpdated"},
		{"but no more than that", progressing("ReplicaSetUpdated"), standing, map[int]size{1: {3, 3}, 2: {1, 0}}, 601 * time.Second, "Available, not Progressing: ProgressDeadlineExceeded"},
		{"no deadline, no Progressing", progressing("ReplicaSetUpdated"), func(d *appsv1.Deployment) { d.Spec.ProgressDeadlineSeconds = nil }, map[int]size{2: {3, 3}}, 0, "Available"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := deploy(t, 3, "1", "0")
			d.Status.Conditions = append(d.Status.Conditions, *row.before)
			if row.change != nil {
				row.change(d)
			}
			v := view{deployment: d, taken: nobody}
			for n := range 3 {
				if s, ok := row.sets[n]; ok {
					v.sets = append(v.sets, set(d, n, s))
				}
			}
			if got := conditionWords(sortOut(v, v.sets, start.Add(row.after)).status()); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

// standing makes the status already what the ReplicaSets {3,3} and {1,0} say.
func standing(d *appsv1.Deployment) {
	d.Status.Replicas, d.Status.UpdatedReplicas, d.Status.ReadyReplicas, d.Status.AvailableReplicas = 4, 1, 3, 3
}

func conditionWords(s appsv1.DeploymentStatus) string {
	var words []string
	for _, t := range []appsv1.DeploymentConditionType{appsv1.DeploymentAvailable, appsv1.DeploymentProgressing} {
		c := condition(&s, t)
		if c == nil {
			continue
		}
		word := string(t)
		if c.Status != "True" {
			word = "not " + word
		}
		if t == appsv1.DeploymentProgressing {
			word += ": " + c.Reason
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func TestPauseStopsTheRolloutButNotScaling(t *testing.T) {
	d := deploy(t, 3, "1", "0")
	v := view{deployment: d, taken: nobody, sets: []*appsv1.ReplicaSet{set(d, 1, size{3, 3})}}
	d.Spec.Paused = true
	r := sortOut(v, v.sets, start)
	if c := condition(&r.pause()[0].Body.(*appsv1.Deployment).Status, appsv1.DeploymentProgressing); c.Reason != "DeploymentPaused" || c.Status != "Unknown" {
		t.Errorf("Progressing is %s because of %s", c.Status, c.Reason)
	}
	if got := sizes(v, resizing(v)); got != "" {
		t.Error("a paused Deployment rolled out:", got)
	}
	*d.Spec.Replicas = 5
	if got := sizes(v, resizing(v)); got != "t1 3→5" {
		t.Error("a paused Deployment did not scale:", got)
	}
}

func TestHistory(t *testing.T) {
	d := deploy(t, 1, "1", "0")
	*d.Spec.RevisionHistoryLimit = 1
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}
	v := view{deployment: d, taken: nobody, sets: []*appsv1.ReplicaSet{set(d, 0, size{}), set(d, 1, size{}), set(d, 2, size{1, 1})}}
	t.Run("beyond the limit the oldest go", func(t *testing.T) {
		if got := sizes(v, resizing(v)); got != "delete t0" {
			t.Error(got)
		}
	})
	t.Run("a template that comes back is the newest revision again, and remembers", func(t *testing.T) {
		d := d.DeepCopy()
		d.Spec.Template.Spec.Containers[0].Image = "web:1"
		r := sortOut(view{deployment: d, taken: nobody, sets: v.sets}, v.sets, start)
		again := r.annotate()[0].Body.(*appsv1.ReplicaSet)
		if again.Annotations[revisionAnnotation] != "3" || again.Annotations[historyAnnotation] != "1" {
			t.Error(again.Annotations)
		}
	})
}

func TestNamesAreFree(t *testing.T) {
	d := deploy(t, 1, "1", "0")
	first := d.Name + "-" + templateHash(d, 0)
	v := view{deployment: d, taken: func(name string) bool { return name == first }}
	steps, _ := plan(v, start)
	var created *appsv1.ReplicaSet
	for _, a := range steps {
		if a.Verb == api.VerbCreate {
			created = a.Body.(*appsv1.ReplicaSet)
		}
	}
	if created == nil || created.Name == first || created.Name != d.Name+"-"+created.Labels[appsv1.DefaultDeploymentUniqueLabelKey] {
		t.Fatalf("%+v", created)
	}
	if c := steps[len(steps)-1].Body.(*appsv1.Deployment).Status.CollisionCount; c == nil || *c != 1 {
		t.Error("the collision was not counted")
	}
}

func TestAReplicaSetThatCannotBeCreatedIsSaid(t *testing.T) {
	v := view{deployment: deploy(t, 3, "1", "0"), taken: nobody}
	steps := reportFailure(v, start, errors.New("quota exceeded"))
	s := steps[0].Body.(*appsv1.Deployment).Status
	if c := condition(&s, appsv1.DeploymentProgressing); c.Status != "False" || c.Reason != "ReplicaSetCreateError" || c.Message != "quota exceeded" || s.ObservedGeneration != 2 {
		t.Errorf("%+v", s)
	}
	v.deployment.Status = s
	if again := reportFailure(v, start.Add(time.Hour), errors.New("quota exceeded")); len(again) != 0 {
		t.Error("it is said twice")
	}
}

// A ReplicaSet that was told to shrink may have made Pods of which its status does not tell yet: they are in the way of maxSurge all the same.
// (Seeds 10, 12, 17 and 21 of the simulation.)
func TestNothingGrowsWhileItIsNotKnownWhatExists(t *testing.T) {
	d := deploy(t, 2, "0", "100%")
	old := set(d, 1, size{1, 0})
	old.Generation, old.Status.ObservedGeneration, old.Status.Replicas = 3, 2, 0
	v := view{deployment: d, taken: nobody, sets: []*appsv1.ReplicaSet{old, set(d, 2, size{0, 0})}}
	if got := sizes(v, sortOut(v, v.sets, start).scaleNew()); got != "" {
		t.Errorf("it grows, though the old ReplicaSet's status is about an earlier size: %s", got)
	}
	old.Status.ObservedGeneration, old.Status.Replicas = 3, 1
	if got := sizes(v, sortOut(v, v.sets, start).scaleNew()); got != "t2 0→1" {
		t.Errorf("it should grow into the room for one: %q", got)
	}
}

// Nor does Recreate go on while an old ReplicaSet may be making Pods for what it was asked for before. (Seeds 1657 and 5161 of the simulation.)
func TestRecreateWaitsUntilTheOldReplicaSetsKnowTheirEnd(t *testing.T) {
	d := deploy(t, 2, "recreate", "")
	old := set(d, 1, size{0, 0})
	old.Generation, old.Status.ObservedGeneration = 3, 2
	v := view{deployment: d, taken: nobody, sets: []*appsv1.ReplicaSet{old}}
	if steps, _ := plan(v, start); strings.Contains(sizes(v, steps), "create") {
		t.Errorf("the new ReplicaSet comes too early: %s", sizes(v, steps))
	}
	old.Status.ObservedGeneration = 3
	if steps, _ := plan(v, start); sizes(v, steps) != "create 2" {
		t.Errorf("the new ReplicaSet should come: %q", sizes(v, steps))
	}
}
