package deployment

import (
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

// world is a Deployment whose plans are carried out, and ReplicaSets that follow late: their Pods come after the spec and their status after
// the Pods.
type world struct {
	t          *rapid.T
	deployment *appsv1.Deployment
	sets       []*appsv1.ReplicaSet
	pods       map[string]*size // Pods that exist, and how many of them are available
	now        time.Time
}

func (w *world) view() view {
	v := view{deployment: w.deployment, sets: w.sets, pods: map[string]int{}, taken: nobody}
	for name, p := range w.pods {
		v.pods[name] = int(p.asks)
	}
	return v
}

func (w *world) surge() int32 {
	surge, _ := bounds(w.deployment)
	return surge
}

func (w *world) least() int32 {
	_, unavailable := bounds(w.deployment)
	return *w.deployment.Spec.Replicas - unavailable
}

// secured is how many Pods that are known to be available will be left when all ReplicaSets have followed: each lets go first what is not.
func (w *world) secured() (n int32) {
	for _, s := range w.sets {
		n += min(*s.Spec.Replicas, s.Status.AvailableReplicas, w.pods[s.Name].available)
	}
	return n
}

// step makes a plan, checks it and carries it out; false = there was nothing to do.
func (w *world) step() bool {
	w.now = w.now.Add(time.Second)
	r := sortOut(w.view(), w.sets, w.now)
	free := r.recreates() || r.resized() || w.deployment.Spec.Paused // a changed size is carried over in proportion, whoever is available
	steps, _ := plan(w.view(), w.now)
	asks, secured := asked(w.sets), w.secured()
	for _, a := range steps {
		w.do(a)
	}
	limit := *w.deployment.Spec.Replicas + w.surge()
	if now := asked(w.sets); now > max(asks, limit) {
		w.t.Fatalf("the plan asks for %d pods, allowed are %d", now, limit)
	}
	if now := w.secured(); !free && now < min(secured, w.least()) {
		w.t.Fatalf("the plan leaves %d pods available, %d must be", now, w.least())
	}
	return len(steps) > 0
}

func (w *world) do(a reconcile.Action) {
	switch {
	case a.Kind.Is(api.DeploymentKind):
		w.deployment = a.Body.(*appsv1.Deployment).DeepCopy()
	case a.Verb == api.VerbCreate:
		s := a.Body.(*appsv1.ReplicaSet).DeepCopy()
		s.UID, s.CreationTimestamp = types.UID(s.Name), metav1.NewTime(w.now)
		w.sets = append(w.sets, s)
		w.pods[s.Name] = &size{}
	case a.Verb == api.VerbUpdate:
		i := slices.IndexFunc(w.sets, func(s *appsv1.ReplicaSet) bool { return s.Name == a.Key.Name })
		w.sets[i] = a.Body.(*appsv1.ReplicaSet).DeepCopy()
	case a.Verb == api.VerbDelete:
		w.sets = slices.DeleteFunc(w.sets, func(s *appsv1.ReplicaSet) bool { return s.Name == a.Key.Name })
	default:
		w.t.Fatalf("unexpected step: %s", a)
	}
}

// follow makes a ReplicaSet's Pods what it asks for.
func (w *world) follow(s *appsv1.ReplicaSet) bool {
	p := w.pods[s.Name]
	was := *p
	p.asks, p.available = *s.Spec.Replicas, min(p.available, *s.Spec.Replicas)
	return was != *p
}

// report makes a ReplicaSet's status what its Pods are.
func (w *world) report(i int) bool {
	p, next := w.pods[w.sets[i].Name], w.sets[i].DeepCopy()
	next.Status.Replicas, next.Status.ReadyReplicas, next.Status.AvailableReplicas = p.asks, p.available, p.available
	changed := next.Status.Replicas != w.sets[i].Status.Replicas || next.Status.AvailableReplicas != w.sets[i].Status.AvailableReplicas
	w.sets[i] = next
	return changed
}

func (w *world) becomeAvailable(s *appsv1.ReplicaSet, n int32) bool {
	p := w.pods[s.Name]
	was := p.available
	p.available = min(p.asks, p.available+n)
	return was != p.available
}

// In whatever order plans, ReplicaSets and Pods get on, and however often size, template and strategy change, the limits hold; and left
// alone it all ends with the new template at full size.
func TestRolloutsKeepTheirLimitsAndEnd(t0 *testing.T) {
	rapid.Check(t0, func(t *rapid.T) {
		limit := rapid.SampledFrom([]string{"0", "1", "3", "10%", "25%", "50%", "100%"})
		d := deploy(t0, rapid.Int32Range(0, 12).Draw(t, "replicas"), limit.Draw(t, "maxSurge"), limit.Draw(t, "maxUnavailable"))
		if rapid.Bool().Draw(t, "recreate") {
			d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
		}
		w := &world{t: t, deployment: d, pods: map[string]*size{}, now: start}
		some := func() int { return rapid.IntRange(0, len(w.sets)-1).Draw(t, "set") }
		t.Repeat(map[string]func(*rapid.T){
			"a plan is carried out": func(*rapid.T) { w.step() },
			"a ReplicaSet follows": func(t *rapid.T) {
				if len(w.sets) > 0 {
					w.follow(w.sets[some()])
				}
			},
			"a ReplicaSet reports": func(t *rapid.T) {
				if len(w.sets) > 0 {
					w.report(some())
				}
			},
			"pods become available": func(t *rapid.T) {
				if len(w.sets) > 0 {
					w.becomeAvailable(w.sets[some()], rapid.Int32Range(1, 3).Draw(t, "pods"))
				}
			},
			"the template changes": func(t *rapid.T) {
				w.deployment = w.deployment.DeepCopy()
				w.deployment.Generation++
				w.deployment.Spec.Template.Spec.Containers[0].Image = fmt.Sprintf("web:%d", rapid.IntRange(1, 4).Draw(t, "template"))
			},
			"the size changes": func(t *rapid.T) {
				w.deployment = w.deployment.DeepCopy()
				w.deployment.Generation++
				n := rapid.Int32Range(0, 12).Draw(t, "replicas")
				w.deployment.Spec.Replicas = &n
			},
			"the strategy changes": func(t *rapid.T) {
				w.deployment = w.deployment.DeepCopy()
				w.deployment.Generation++
				w.deployment.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
				if rapid.Bool().Draw(t, "rolling") {
					w.deployment.Spec.Strategy = deploy(t0, 0, limit.Draw(t, "maxSurge"), limit.Draw(t, "maxUnavailable")).Spec.Strategy
				}
			},
			"it is paused or resumed": func(t *rapid.T) {
				w.deployment = w.deployment.DeepCopy()
				w.deployment.Generation++
				w.deployment.Spec.Paused = !w.deployment.Spec.Paused
			},
			"": func(t *rapid.T) { w.neverMixed() },
		})
		w.deployment.Spec.Paused = false
		w.settle()
		want := *w.deployment.Spec.Replicas
		if s := w.deployment.Status; s.Replicas != want || s.UpdatedReplicas != want || s.AvailableReplicas != want || s.ObservedGeneration != w.deployment.Generation {
			t.Fatalf("it ended with %+v, %d were wanted", s, want)
		}
	})
}

// neverMixed checks what Recreate promises.
func (w *world) neverMixed() {
	r := sortOut(w.view(), w.sets, w.now)
	if r.new == nil || !r.recreates() || w.deployment.Spec.Paused || w.pods[r.new.Name].asks == 0 {
		return
	}
	for _, s := range r.old {
		if *s.Spec.Replicas > 0 && *r.new.Spec.Replicas > 0 && w.deployment.Status.ObservedGeneration == w.deployment.Generation {
			w.t.Fatalf("Recreate asks for pods of two templates: %s and %s", s.Name, r.new.Name)
		}
	}
}

// settle lets everything run until nothing changes any more.
func (w *world) settle() {
	for range 1000 {
		changed := w.step()
		for i, s := range w.sets {
			changed = w.follow(s) || changed
			changed = w.becomeAvailable(s, 100) || changed
			changed = w.report(i) || changed
		}
		if !changed {
			return
		}
	}
	w.t.Fatal("the rollout does not come to an end")
}
