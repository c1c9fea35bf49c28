package simulation

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"optimist/internal/api"
)

// Crash is one life of a fixed scenario in which one component dies at its k-th write (a node: at its k-th change of anything).
type Crash struct {
	Role string // a controller's name, "scheduler", or "node" for the agent of n1
	K    int    // 0 = nobody dies
	Sent bool   // the write is done, but its answer not seen; else it never leaves
}

// Outcome is how the scenario ended.
type Outcome struct {
	End    string // the normalised state at the end of each act
	Died   bool   // there was a k-th write
	Failed string // the invariant that was violated
	World  *World
}

// Live runs the scenario. All components work as soon as they have something to do, one after the other; nothing is left to chance.
func (c Crash) Live(t *testing.T) (o Outcome) {
	synctest.Test(t, func(t *testing.T) {
		w, err := newWorld(Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		if c.K > 0 {
			w.fate = &fate{role: c.Role, left: c.K, when: when(c.Sent)}
		}
		for _, act := range acts {
			w.acting(&frame{who: "user", role: "user"}, func() { act.do(w) })
			w.run(act.lasts)
			o.End += act.name + "\n" + w.normalised() + "\n"
		}
		o.Died, o.Failed, o.World = w.fate != nil && w.fate.struck, w.Failed, w
	})
	return o
}

// acts are the scenario: what the user, or misfortune, does, and how long it takes until all is at rest again, also if somebody dies on the way.
var acts = []struct {
	name  string
	do    func(*World)
	lasts time.Duration
}{
	{"deployed", (*World).deployWeb, time.Minute},
	{"scaled", func(w *World) { w.patch(api.DeploymentKind, webKey, `{"spec":{"replicas":5}}`) }, time.Minute},
	{"rolled out", func(w *World) { w.onTemplate(`"image":"app:2"`) }, 2 * time.Minute},
	{"a pod killed", func(w *World) { w.crashOne("n2") }, time.Minute},
	{"n3 silent", func(w *World) { w.machines[2].life.cut = true }, 7 * time.Minute},
	{"n3 removed", func(w *World) { w.remove(api.NodeKind, api.Key{Name: "n3"}, api.Options{}) }, 2 * time.Minute},
	{"n3 back", func(w *World) { w.machines[2].life.cut = false }, 2 * time.Minute},
	{"orphaned", func(w *World) {
		w.remove(api.DeploymentKind, webKey, api.Options{Propagation: metav1.DeletePropagationOrphan})
	}, time.Minute},
	{"adopted", (*World).deployWeb, 2 * time.Minute},
	{"deleted", func(w *World) {
		w.remove(api.DeploymentKind, webKey, api.Options{Propagation: metav1.DeletePropagationForeground})
	}, 2 * time.Minute},
	{"namespace deleted", func(w *World) { w.remove(api.NamespaceKind, api.Key{Name: "shop"}, api.Options{}) }, 2 * time.Minute},
}

var webKey = api.Key{Namespace: "shop", Name: "web"}

func (w *World) deployWeb() {
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "settings"}})
	labels := map[string]string{"app": "web"}
	w.create(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: labels}})
	none, one := intstr.FromInt32(0), intstr.FromInt32(1)
	image := "app:1"
	if len(all(w.history, api.ReplicaSets)) > 0 {
		image = "app:2" // what the orphans run
	}
	w.create(&appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: webKey.Namespace, Name: webKey.Name},
		Spec: appsv1.DeploymentSpec{Replicas: new(int32(len(w.activePods()) + 3*btoi(image == "app:1"))), Selector: &metav1.LabelSelector{MatchLabels: labels},
			RevisionHistoryLimit: new(int32),
			Strategy:             appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &one, MaxUnavailable: &none}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(5)),
				Containers: []corev1.Container{{Name: "main", Image: image, Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m")}}}}}}},
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (w *World) activePods() (pods []*corev1.Pod) {
	for _, p := range all(w.history, api.Pods) {
		if counts(p) {
			pods = append(pods, p)
		}
	}
	return pods
}

// crashOne lets the first container of a node end.
func (w *World) crashOne(node string) {
	for _, m := range w.machines {
		boxes, _ := m.runtime.State(m.life.ctx)
		if m.name == node && len(boxes) > 0 && len(boxes[0].Containers) > 0 {
			w.crash(m, boxes[0].Containers[0].ID, boxes[0].Pod)
		}
	}
}

// run lets everybody work for a while.
func (w *World) run(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end) && w.Failed == ""; w.pass(time.Second) {
		w.everybody()
	}
	w.everybody()
}

// normalised is the state without what may differ: names, uids, times, revisions, and which of the pods is where.
func (w *World) normalised() string {
	var lines []string
	for _, d := range all(w.history, api.Deployments) {
		lines = append(lines, fmt.Sprintf("deployment %s: %d wanted, status %d/%d/%d, observed %t", d.Name, *d.Spec.Replicas, d.Status.Replicas, d.Status.UpdatedReplicas, d.Status.AvailableReplicas,
			d.Status.ObservedGeneration == d.Generation))
	}
	for _, s := range all(w.history, api.ReplicaSets) {
		lines = append(lines, fmt.Sprintf("replicaset of %s: %d wanted, %d exist, %d available, owned %t, revision %s", s.Spec.Template.Spec.Containers[0].Image, *s.Spec.Replicas, s.Status.Replicas,
			s.Status.AvailableReplicas, len(s.OwnerReferences) > 0, s.Annotations["deployment.kubernetes.io/revision"]))
	}
	for _, p := range all(w.history, api.Pods) {
		if p.DeletionTimestamp != nil && w.machines[2].life.cut {
			continue // how many were on the silent node may differ
		}
		lines = append(lines, fmt.Sprintf("pod of %s: %s, ready %t, being deleted %t, owned %t, runs %d times", p.Spec.Containers[0].Image, p.Status.Phase, api.PodReady(p), p.DeletionTimestamp != nil,
			len(p.OwnerReferences) > 0, len(w.running(p.UID))))
	}
	for _, n := range all(w.history, api.Nodes) {
		var taints []string
		for _, taint := range n.Spec.Taints {
			taints = append(taints, taint.Key+":"+string(taint.Effect))
		}
		slices.Sort(taints)
		lines = append(lines, fmt.Sprintf("node %s: ready %s, taints %v", n.Name, readiness(n), taints))
	}
	for _, s := range all(w.history, api.EndpointSlices) {
		var serve, stale int
		for _, e := range s.Endpoints {
			serve += btoi(*e.Conditions.Ready)
			p, ok := get(w.history, api.Pods, api.Key{Namespace: s.Namespace, Name: e.TargetRef.Name})
			stale += btoi(!ok || *e.Conditions.Serving != api.PodReady(p) || *e.Conditions.Terminating != (p.DeletionTimestamp != nil))
		}
		lines = append(lines, fmt.Sprintf("endpointslice: %d endpoints are ready, %d are not as their pods", serve, stale))
	}
	for _, e := range all(w.history, api.Endpoints) {
		lines = append(lines, fmt.Sprintf("endpoints: %d subsets", len(e.Subsets)))
	}
	for _, n := range all(w.history, api.Namespaces) {
		lines = append(lines, "namespace "+n.Name+" "+string(n.Status.Phase))
	}
	lines = append(lines, fmt.Sprintf("configmaps %d; left on nodes: %q", len(all(w.history, api.ConfigMaps)), w.leftOver()))
	slices.Sort(lines)
	return "  " + strings.Join(lines, "\n  ")
}

func readiness(n *corev1.Node) corev1.ConditionStatus {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return ""
}
