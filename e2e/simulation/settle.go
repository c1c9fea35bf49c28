package simulation

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

const (
	patience = 30 * time.Minute // back-offs grow to five minutes
	silence  = 40 * time.Second // a world at rest is that quiet, but for heartbeats
)

// settle heals everything, and lets everybody work until nothing is left to do. That has to happen.
func (w *World) settle() {
	w.lively = false
	w.say("", "no more misfortunes")
	for _, l := range w.lives() {
		l.cut = false
		if l.stopped {
			l.stopped, l.paused = false, l.paused-1
		}
	}
	for began, n := time.Now(), 0; w.Failed == ""; n++ {
		if n%10 == 0 { // what was left behind may be orphaned only now
			w.acting(&frame{who: "user", role: "user"}, w.leavesTidy)
		}
		if n%100 == 99 { // what is terminating, and nodes that were silent, have had their time
			w.acting(&frame{who: "user", role: "user"}, w.makesRoom)
		}
		w.everybody()
		why := w.unsettled()
		if why == "" && time.Since(w.noise) >= silence {
			w.say("", "all is quiet")
			return
		}
		if time.Since(began) > patience {
			w.violated("after %s without misfortunes: %s", patience, orElse(why, "something is still being written again and again"))
		}
		w.pass(time.Second)
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// everybody works until nobody has anything to do right now.
func (w *World) everybody() {
	for range 200 {
		busy := false
		for _, l := range w.lives() {
			for _, s := range l.streams {
				if l.runs() && s.behind() {
					s.catchUp()
					busy = true
				}
			}
		}
		for _, p := range w.processes {
			for i := range p.parts() {
				for n := 0; n < 50 && p.work(i); n++ {
					busy = true
				}
			}
		}
		for _, m := range w.machines {
			m.keep()
			for _, j := range m.due() {
				m.step(j)
				busy = true
			}
		}
		if !busy || w.Failed != "" {
			return
		}
	}
}

// heartbeat reports whether a change only says that somebody lives.
func heartbeat(c change) bool {
	return c.kind.Is(api.LeaseKind) || c.kind.Is(api.NodeKind) && c.by.role == "keeper"
}

// unsettled says what keeps the world from being at rest; "" = nothing.
func (w *World) unsettled() string {
	for _, find := range []func(*World) string{(*World).terminating, (*World).orphans, (*World).incomplete, (*World).notRunning, (*World).leftOver} {
		if why := find(w); why != "" {
			return why
		}
	}
	return ""
}

func (w *World) terminating() string {
	for _, k := range api.Builtin.Kept() {
		t := w.history.tracks[k]
		for _, key := range t.keys() {
			if t.now[key].GetDeletionTimestamp() != nil {
				return fmt.Sprintf("%s %s is still being deleted", k, key)
			}
		}
	}
	return ""
}

func (w *World) orphans() string {
	for _, k := range api.Builtin.Kept() {
		t := w.history.tracks[k]
		for _, key := range t.keys() {
			refs := t.now[key].GetOwnerReferences()
			if len(refs) > 0 && !slices.ContainsFunc(refs, func(r metav1.OwnerReference) bool { return w.owner(r, key.Namespace) != nil }) {
				return fmt.Sprintf("%s %s outlives its owner %s", k, key, refs[0].Name)
			}
		}
	}
	return ""
}

// owner finds the very object that a reference means; nil = it does not exist.
func (w *World) owner(r metav1.OwnerReference, namespace string) api.Object {
	k := api.Builtin.Find(r.Kind)
	if k == nil {
		return nil
	}
	key := api.Key{Name: r.Name}
	if k.Namespaced {
		key.Namespace = namespace
	}
	if o := w.history.tracks[k].now[key]; o != nil && o.GetUID() == r.UID {
		return o
	}
	return nil
}

func (w *World) incomplete() string {
	for _, d := range all(w.history, api.Deployments) {
		want, s := *d.Spec.Replicas, d.Status
		if s.Replicas != want || s.UpdatedReplicas != want || s.AvailableReplicas != want || s.ReadyReplicas != want || s.ObservedGeneration != d.Generation {
			return fmt.Sprintf("deployment %s wants %d, its status is replicas=%d updated=%d ready=%d available=%d generation %d of %d", api.KeyOf(d), want,
				s.Replicas, s.UpdatedReplicas, s.ReadyReplicas, s.AvailableReplicas, s.ObservedGeneration, d.Generation)
		}
		for _, set := range w.setsOf(d.UID) {
			if n := int32(len(w.active(set.UID))); n > 0 && set.Spec.Template.Spec.Containers[0].Image != d.Spec.Template.Spec.Containers[0].Image || n > want {
				return fmt.Sprintf("%d pods of %s are left", n, api.KeyOf(set))
			}
		}
	}
	for _, set := range all(w.history, api.ReplicaSets) {
		if n := int32(len(w.active(set.UID))); n != *set.Spec.Replicas || set.Status.Replicas != n || set.Status.AvailableReplicas != n {
			return fmt.Sprintf("replicaset %s wants %d and has %d pods; its status says %d, %d available", api.KeyOf(set), *set.Spec.Replicas, n, set.Status.Replicas, set.Status.AvailableReplicas)
		}
	}
	return ""
}

func (w *World) notRunning() string {
	for _, n := range all(w.history, api.Nodes) {
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
				return fmt.Sprintf("node %s is not ready: %s", n.Name, c.Message)
			}
		}
	}
	for _, p := range all(w.history, api.Pods) {
		switch {
		case api.Ended(p):
		case p.Spec.NodeName == "":
			return fmt.Sprintf("pod %s has no node", api.KeyOf(p))
		case p.Status.Phase != corev1.PodRunning || !api.PodReady(p):
			return fmt.Sprintf("pod %s does not run: %s", api.KeyOf(p), p.Status.Phase)
		case len(w.running(p.UID)) != 1:
			return fmt.Sprintf("pod %s runs in %v", api.KeyOf(p), w.running(p.UID))
		}
	}
	return ""
}

// leftOver is a sandbox whose Pod is gone, on a node that could know it.
func (w *World) leftOver() string {
	bound := map[types.UID]string{}
	for _, p := range all(w.history, api.Pods) {
		bound[p.UID] = p.Spec.NodeName
	}
	for _, m := range w.machines {
		if m.life.cut {
			continue
		}
		boxes, _ := m.runtime.State(m.life.ctx)
		for _, b := range boxes {
			if bound[b.Pod] != m.name {
				return fmt.Sprintf("the sandbox of %s/%s %s is left on %s", b.Namespace, b.Name, b.Pod, m.name)
			}
		}
	}
	return ""
}

func (w *World) setsOf(uid types.UID) (sets []*appsv1.ReplicaSet) {
	for _, s := range all(w.history, api.ReplicaSets) {
		if ref := metav1.GetControllerOf(s); ref != nil && ref.UID == uid {
			sets = append(sets, s)
		}
	}
	return sets
}

// active are the Pods that a ReplicaSet has, and that are neither ended nor being deleted.
func (w *World) active(uid types.UID) (pods []*corev1.Pod) {
	for _, p := range all(w.history, api.Pods) {
		if controlledBy(p, uid) && !api.Ended(p) && p.DeletionTimestamp == nil {
			pods = append(pods, p)
		}
	}
	return pods
}

func controlledBy(o metav1.Object, uid types.UID) bool {
	ref := metav1.GetControllerOfNoCopy(o)
	return ref != nil && ref.UID == uid
}

// running are the nodes on which containers of a pod run.
func (w *World) running(uid types.UID) (nodes []string) {
	for _, m := range w.machines {
		if b, _ := m.runtime.Sandbox(m.life.ctx, uid); b != nil {
			for _, c := range b.Containers {
				if c.Phase == "Running" {
					nodes = append(nodes, m.name)
				}
			}
		}
	}
	return nodes
}
