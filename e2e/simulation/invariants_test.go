package simulation

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

// Whoever plans on less than he could know is found out, and nobody else is blamed. The innocent are those of
// seeds that were blamed.
func TestWhoIsToBlame(t *testing.T) {
	for _, row := range []struct {
		name, blame string
		do          func(*town)
	}{
		{"Recreate goes on beside a pod of the old template", "1 pods of other templates are left", func(v *town) {
			v.gives()
			v.hear()
			v.plan("deployment", v.recreate)
		}},
		{"Recreate goes on, and the watch has not told that somebody gave the old ReplicaSet a pod", "", func(v *town) {
			v.hear()
			v.gives()
			v.plan("deployment", v.recreate)
		}},
		{"Recreate goes on beside a pod that its own process has just made", "1 pods of other templates are left", func(v *town) {
			v.hear()
			v.plan("replicaset", v.makes)
			v.plan("deployment", v.recreate)
		}},
		{"a pod too many is deleted, after another loop of the process has deleted it and was told so", "has 1 pods left, asked for were 2", func(v *town) {
			v.plan("tainteviction", v.deletes(0))
			v.plan("replicaset", v.deletes(1))
		}},
		{"a pod too many is deleted, while another loop of the process deletes one", "", func(v *town) {
			v.plan("replicaset", func(string) {
				v.plan("tainteviction", v.deletes(0))
				v.deletes(1)("replicaset")
			})
		}},
		{"a pod too many is deleted, before another loop of the process is told that it has deleted one", "", func(v *town) {
			v.plan("tainteviction", func(role string) { _, _ = v.link(role).send(v.leader.term.ctx, v.deletion(0)) })
			v.plan("replicaset", v.deletes(1))
		}},
		{"a pod too many is deleted, after another loop of the process was told that nobody knows whether it has deleted one", "has 1 pods left, asked for were 2", func(v *town) {
			v.lively, v.Odds = true, Odds{AnswerLost: 1}
			v.plan("tainteviction", v.deletes(0))
			v.lively = false
			v.plan("replicaset", v.deletes(1))
		}},
		{"a ReplicaSet shrinks though all of its pods are needed", "leaves 1 pods available, 2 fewer; there must be 3", func(v *town) {
			v.plan("deployment", v.shrinks)
		}},
		{"a ReplicaSet shrinks by what its own process has just reported as not available, and the watch has not told", "", func(v *town) {
			v.plan("replicaset", v.reports)
			v.plan("deployment", v.shrinks)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := settled(t)
				defer v.close()
				if row.do(v); row.blame == "" && v.Failed != "" || !strings.Contains(v.Failed, row.blame) {
					t.Errorf("the verdict is %q, should be %q\n%s", v.Failed, row.blame, strings.Join(v.Story()[max(0, len(v.Story())-8):], "\n"))
				}
			})
		})
	}
}

// A user who is the last to act leaves nothing behind that has no place. (Seed 4827, in which five bare Pods were more than three nodes hold.)
func TestWhatFitsNowhereIsNobodysFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := newWorld(Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		w.acting(&frame{who: "user", role: "user"}, func() {
			for i := range 8 {
				w.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("bare-", i)}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main",
					Image: "app:1", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1400m")}}}}}})
			}
		})
		w.settle()
		if n := len(all(w.history, api.Pods)); w.Failed != "" || n != 6 {
			t.Errorf("%d pods are left: %s", n, w.Failed)
		}
	})
}

// town is a world at rest: of Deployment web, which recreates, a template has passed and has no pods; api's three pods run, of which two are wanted;
// db has three, and rolls without letting one go.
type town struct {
	*World
	leader *process
	old    *appsv1.ReplicaSet
	db     api.Key
	pods   []*corev1.Pod
}

func settled(t *testing.T) *town {
	w, err := newWorld(Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	v, web := &town{World: w}, api.Key{Namespace: "default", Name: "web"}
	user := func(do func()) { w.acting(&frame{who: "user", role: "user"}, do) }
	user(func() {
		for _, name := range []string{"web", "api", "db"} {
			labels, strategy := map[string]string{"app": name}, appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
			if name == "db" {
				strategy = appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: new(intstr.FromInt32(0))}}
			}
			w.create(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: web.Namespace, Name: name}, Spec: appsv1.DeploymentSpec{Replicas: new(int32(3)),
				Selector: &metav1.LabelSelector{MatchLabels: labels}, Strategy: strategy,
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "app:1"}}}}}})
		}
	})
	w.run(20e9)
	user(func() { w.patch(api.DeploymentKind, web, `{"spec":{"replicas":0}}`) })
	w.run(60e9)
	for _, s := range all(w.history, api.ReplicaSets) {
		switch s.Labels["app"] {
		case "web":
			v.old = s
		case "db":
			v.db = api.KeyOf(s)
		default:
			v.pods = w.active(s.UID)
			user(func() { w.patch(api.ReplicaSetKind, api.KeyOf(s), `{"spec":{"replicas":2}}`) })
		}
	}
	user(func() {
		w.patch(api.DeploymentKind, web, `{"spec":{"replicas":1,"template":{"spec":{"containers":[{"name":"main","image":"app:2"}]}}}}`)
	})
	for _, p := range w.processes {
		if p.ofControllers() && p.leads() {
			v.leader = p
		}
	}
	if v.leader == nil || v.old == nil || len(v.pods) != 3 || w.Failed != "" {
		t.Fatalf("the town is not at rest: %s", w.Report())
	}
	v.hear()
	return v
}

// hear lets the leader's watches tell everything.
func (v *town) hear() {
	for _, s := range v.leader.life.streams {
		s.catchUp()
	}
}

// plan is a step of one of the leader's loops.
func (v *town) plan(role string, act func(role string)) {
	l := v.leader.life
	v.acting(&frame{who: l.name, role: role, life: l, began: l.positions(), planned: v.history.revision}, func() { act(role) })
}

func (v *town) link(role string) *link {
	return &link{v.leader.life, api.User{Name: api.ControllerPrefix + role}, role}
}

func (v *town) write(role string, r api.Request) { _, _ = v.link(role).Write(v.leader.term.ctx, r) }

func (v *town) deletion(i int) api.Request {
	return reconcile.Delete(api.PodKind, v.pods[i], "", nil).Request
}

func (v *town) deletes(i int) func(string) { return func(role string) { v.write(role, v.deletion(i)) } }

func (v *town) pod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "late", Labels: v.old.Spec.Template.Labels, OwnerReferences: []metav1.OwnerReference{reconcile.OwnerRef(v.old)}},
		Spec: v.old.Spec.Template.Spec}
}

// gives is a user's doing; makes is that of a loop which goes on with an old plan.
func (v *town) gives() { v.acting(&frame{who: "user", role: "user"}, func() { v.create(v.pod()) }) }

func (v *town) makes(role string) {
	v.top().began[api.ReplicaSetKind], v.top().planned = 0, 0 // when three were wanted
	v.write(role, reconcile.Create(api.PodKind, v.pod(), "", nil).Request)
}

func (v *town) shrinks(role string) {
	s, _ := get(v.history, api.ReplicaSets, v.db)
	s = s.DeepCopy()
	s.Spec.Replicas = new(int32(1))
	v.write(role, reconcile.Update(api.ReplicaSetKind, "", s, "", nil).Request)
}

func (v *town) reports(role string) {
	s, _ := get(v.history, api.ReplicaSets, v.db)
	s = s.DeepCopy()
	s.Status.ReadyReplicas, s.Status.AvailableReplicas = 1, 1
	v.write(role, reconcile.Update(api.ReplicaSetKind, "status", s, "", nil).Request)
}

// recreate makes the ReplicaSet of web's new template.
func (v *town) recreate(role string) {
	s := v.old.DeepCopy()
	s.ObjectMeta = metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name + "2", Labels: s.Labels, OwnerReferences: s.OwnerReferences}
	s.Spec.Replicas, s.Spec.Template.Spec.Containers[0].Image = new(int32(1)), "app:2"
	v.write(role, reconcile.Create(api.ReplicaSetKind, s, "", nil).Request)
}
