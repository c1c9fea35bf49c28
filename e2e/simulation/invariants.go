package simulation

import (
	"slices"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
	"optimist/internal/api"
)

// checks is what the invariants remember.
type checks struct {
	ran    map[runtime.ContainerID]string // where each attempt was started
	born   map[types.UID]birth
	byHand map[types.UID]api.Revision    // when a user has bound it
	odd    map[types.UID]bool            // Pods that a user has made or relabelled: who has too many of them is not to blame
	heard  map[api.Revision]api.Revision // how far the server was when whoever wrote it was told what became of it, or that nobody knows; 0 = not yet
}

type birth struct {
	revision api.Revision
	life     *life // who made it; nil = the user
}

func newChecks() checks {
	return checks{ran: map[runtime.ContainerID]string{}, born: map[types.UID]birth{}, odd: map[types.UID]bool{}, byHand: map[types.UID]api.Revision{}, heard: map[api.Revision]api.Revision{}}
}

// judge looks at one change, at the very moment of its commit.
func (w *World) judge(c change) {
	if c.after != nil && api.RevisionOf(c.after) != c.revision || c.before != nil && api.RevisionOf(c.before) >= c.revision {
		w.violated("%s: revision %d was committed as %d", c, api.RevisionOf(c.after), c.revision)
	}
	if c.after != nil && (c.before == nil || c.before.GetUID() != c.after.GetUID()) {
		w.checks.born[c.after.GetUID()] = birth{c.revision, c.by.life}
	}
	if c.by.role == "user" && c.after != nil && c.kind.Is(api.PodKind) {
		w.checks.odd[c.after.GetUID()] = true
	}
	w.judgeFence(c)
	if c.kind.Is(api.PodKind) {
		w.judgeBinding(c)
	}
	if removes(c) {
		w.judgeDelete(c)
	}
	switch {
	case c.by.role == "deployment" && c.kind.Is(api.ReplicaSetKind):
		w.judgeRollout(c)
	case c.by.role == "replicaset" && c.kind.Is(api.PodKind):
		w.judgeReplicas(c)
	case c.by.role == "replicaset" && c.kind.Is(api.ReplicaSetKind):
		w.judgeReport(c)
	}
}

// removes reports that the change is the end of an object, or the beginning of its end.
func removes(c change) bool {
	return c.before != nil && c.before.GetDeletionTimestamp() == nil && (c.after == nil || c.after.GetDeletionTimestamp() != nil) || c.before != nil && c.after == nil
}

// judgeFence: while a leader's write is committed the Lease still says what its fence says, and whoever has to lead in order to write has a fence.
func (w *World) judgeFence(c change) {
	f := c.by
	if f.role == "user" || f.role == "node" || f.role == "keeper" || f.role == "leader" {
		return
	}
	if f.fence == nil {
		w.violated("%s writes %s without a fence", f.who, c)
		return
	}
	l, ok := w.history.tracks[api.LeaseKind].now[f.fence.Lease].(*coordinationv1.Lease)
	if !ok || l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity != f.fence.Holder || *l.Spec.LeaseTransitions != f.fence.Epoch {
		w.violated("%s writes %s in epoch %d, which has passed", f.who, c, f.fence.Epoch)
	}
}

// judgeBinding: a Pod is bound once, and to a node that has room for it.
func (w *World) judgeBinding(c change) {
	was, _ := c.before.(*corev1.Pod)
	is, _ := c.after.(*corev1.Pod)
	if is == nil || was != nil && was.UID != is.UID {
		return
	}
	if was != nil && was.Spec.NodeName != "" && was.Spec.NodeName != is.Spec.NodeName {
		w.violated("pod %s is bound twice: to %s, then to %s", c.key, was.Spec.NodeName, is.Spec.NodeName)
	}
	if is.Spec.NodeName == "" || was != nil && was.Spec.NodeName != "" {
		return
	}
	if c.by.role == "user" {
		w.checks.byHand[is.UID] = c.revision
		return
	}
	cpu, n := w.load(is.Spec.NodeName, c.by.began[api.PodKind])
	if have := capacity.Cpu().MilliValue(); cpu > have {
		w.violated("node %s is overcommitted by pod %s: %dm of %dm CPU", is.Spec.NodeName, c.key, cpu, have)
	}
	if have := capacity.Pods().Value(); n > have {
		w.violated("node %s is overcommitted by pod %s: %d of %d pods", is.Spec.NodeName, c.key, n, have)
	}
}

// load is what the Pods on a node ask for, and how many they are; without those that a user has bound there after a revision (0 = all).
func (w *World) load(node string, known api.Revision) (cpu, n int64) {
	for _, o := range w.history.tracks[api.PodKind].now {
		if p := o.(*corev1.Pod); p.Spec.NodeName == node && !api.Ended(p) && (known == 0 || w.checks.byHand[p.UID] <= known) {
			cpu += requests(p)
			n++
		}
	}
	return cpu, n
}

func requests(p *corev1.Pod) (cpu int64) {
	for _, c := range p.Spec.Containers {
		cpu += c.Resources.Requests.Cpu().MilliValue()
	}
	return cpu
}

// judgeDelete: what a component deletes it has known, by its uid; the garbage collector deletes nothing whose owner lives; a Pod goes after its
// containers, unless the user has forced it.
func (w *World) judgeDelete(c change) {
	f, uid := c.by, c.before.GetUID()
	switch {
	case f.role == "user" || f.request == nil:
		return
	case f.request.Verb == api.VerbDeleteCollection:
		if ns, ok := get(w.history, api.Namespaces, api.Key{Name: c.key.Namespace}); !ok || ns.DeletionTimestamp == nil {
			w.violated("%s empties namespace %s, which is not being deleted", f.role, c.key.Namespace)
		}
		return
	case f.request.Verb == api.VerbDelete:
		if b := w.checks.born[uid]; b.revision > f.began[c.kind] && b.life != f.life {
			w.violated("%s deletes %s with uid %s, which no plan was about: it was made at %d, the plan knew everything up to %d", f.role, c, uid, b.revision, f.began[c.kind])
		}
	}
	if f.role == "garbage" && f.request.Verb == api.VerbDelete {
		if i := slices.IndexFunc(c.before.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return w.stays(r, c) }); i >= 0 {
			w.violated("the garbage collector deletes %s, whose owner %s lives", c, c.before.GetOwnerReferences()[i].Name)
		}
	}
	if f.role == "node" && c.after == nil {
		if nodes := w.running(uid); len(nodes) > 0 {
			w.violated("pod %s is gone, but a container of it runs on %v", c.key, nodes)
		}
	}
}

// stays reports whether the owner that a reference means exists, and did not wait for its dependents to go at any time since the plan was made.
func (w *World) stays(r metav1.OwnerReference, c change) bool {
	o := w.owner(r, c.key.Namespace)
	if o == nil {
		return false
	}
	k := api.Builtin.Of(o)
	return !slices.ContainsFunc(w.history.tracks[k].since(api.KeyOf(o), c.by.began[k]), func(was api.Object) bool {
		return was.GetUID() != r.UID || was.GetDeletionTimestamp() != nil && slices.Contains(was.GetFinalizers(), metav1.FinalizerDeleteDependents)
	})
}

// started: each attempt at a container is started once in all the world's time.
func (w *World) started(m *machine, id runtime.ContainerID) {
	w.say(m.name, "starts container %s", id)
	if where, again := w.checks.ran[id]; again {
		w.violated("container %s is started on %s, after it was started on %s", id, m.name, where)
	}
	w.checks.ran[id] = m.name
}
