package simulation

import (
	"math"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"optimist/internal/api"
)

// What the controllers do is judged on the true state at its commit. What they could not know yet (a user's change, a death) is excused: of
// whatever they plan on, every state since the one that they knew when the plan was made counts, and the most permissive one decides.

// bounds is what a Deployment allows.
type allowed struct {
	most, least   int32 // Pods that may exist; that must be available
	rolling, free bool  // RollingUpdate throughout; being paused or resized: sizes are carried over whoever is available
	sizes         map[int32]bool
}

// allows is the most permissive of all a Deployment's states that a plan may have been made on.
func (w *World) allows(f *frame, key api.Key, uid types.UID) (a allowed, known bool) {
	a = allowed{least: math.MaxInt32, rolling: true, sizes: map[int32]bool{}}
	for _, o := range w.states(f, api.DeploymentKind, key) {
		d := o.(*appsv1.Deployment)
		if d.UID != uid {
			continue
		}
		known = true
		want := *d.Spec.Replicas
		surge, unavailable := limits(d)
		a.most, a.least = max(a.most, want+surge), min(a.least, want-unavailable)
		a.rolling = a.rolling && d.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType
		a.free = a.free || d.Spec.Paused
		a.sizes[want] = true
	}
	a.free = a.free || len(a.sizes) > 1
	return a, known
}

// limits are maxSurge and maxUnavailable in Pods: percentages are rounded up and down; if both are 0 one Pod may be missing.
func limits(d *appsv1.Deployment) (surge, unavailable int32) {
	ru := d.Spec.Strategy.RollingUpdate
	if ru == nil {
		return 0, 0
	}
	part := func(v *intstr.IntOrString, round func(float64) float64) int32 {
		if v.Type == intstr.Int {
			return v.IntVal
		}
		percent, _ := strconv.Atoi(v.StrVal[:len(v.StrVal)-1])
		return int32(round(float64(percent) * float64(*d.Spec.Replicas) / 100))
	}
	surge, unavailable = part(ru.MaxSurge, math.Ceil), part(ru.MaxUnavailable, math.Floor)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, min(unavailable, *d.Spec.Replicas)
}

// judgeRollout judges a write of the deployment controller that changes what a ReplicaSet asks for:
//
//   - growing, while the size stays: of all ReplicaSets together no more Pods are asked for or exist (not counting those that are being deleted)
//     than replicas + maxSurge. While the size changes only what is asked for counts;
//   - shrinking, while the size stays: of the Pods that are available as many stay as must, min(asked for, available) over all ReplicaSets;
//   - with Recreate no Pod of another template is asked for or exists.
func (w *World) judgeRollout(c change) {
	was, _ := c.before.(*appsv1.ReplicaSet)
	is, _ := c.after.(*appsv1.ReplicaSet)
	if is == nil {
		return
	}
	ref := metav1.GetControllerOf(is)
	if ref == nil || was != nil && was.UID != is.UID {
		return
	}
	from, to := int32(0), *is.Spec.Replicas
	if was != nil {
		from = *was.Spec.Replicas
	}
	a, known := w.allows(c.by, api.Key{Namespace: c.key.Namespace, Name: ref.Name}, ref.UID)
	if !known || from == to {
		return
	}
	sets := w.setsOf(ref.UID)
	for _, s := range sets {
		n, err := strconv.Atoi(s.Annotations["deployment.kubernetes.io/desired-replicas"])
		if s.UID == is.UID && was != nil {
			n, err = strconv.Atoi(was.Annotations["deployment.kubernetes.io/desired-replicas"])
		}
		if size := *s.Spec.Replicas; err == nil && !a.sizes[int32(n)] && (size > 0 || s.UID == is.UID && from > 0) {
			a.free = true
		}
	}
	if to > from {
		w.judgeGrowth(c, a, sets, is.UID, from)
	} else if a.rolling && !a.free {
		w.judgeShrinking(c, a, sets, is.UID, from)
	}
}

func (w *World) judgeGrowth(c change, a allowed, sets []*appsv1.ReplicaSet, changed types.UID, from int32) {
	var asked, before, present, old int32
	for _, s := range sets {
		n := *s.Spec.Replicas
		asked += n
		if s.UID == changed {
			before += from
		} else {
			before += n
			old += max(n, w.unfinished(c.by, s.UID))
		}
		present += max(n, w.made(s.UID))
	}
	switch {
	case asked > max(before, a.most):
		w.violated("%s: %d pods are asked for, allowed are %d", c, asked, a.most)
	case a.rolling && !a.free && present > a.most:
		w.violated("%s grows from %d, and %d pods exist or are asked for; allowed are %d", c, from, present, a.most)
	case !a.rolling && !a.free && w.recreates(c) && old > 0:
		w.violated("%s: the strategy is Recreate, but %d pods of other templates are left", c, old)
	}
}

// made is how many Pods a ReplicaSet has that the user had no hand in.
func (w *World) made(set types.UID) (n int32) {
	for _, p := range w.active(set) {
		if !w.checks.odd[p.UID] {
			n++
		}
	}
	return n
}

// recreates reports that the strategy was Recreate in all states that the plan may have been made on, and the template the same.
func (w *World) recreates(c change) bool {
	is := c.after.(*appsv1.ReplicaSet)
	key := api.Key{Namespace: c.key.Namespace, Name: metav1.GetControllerOf(is).Name}
	for _, o := range w.states(c.by, api.DeploymentKind, key) {
		d := o.(*appsv1.Deployment)
		if d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType || d.Spec.Template.Spec.Containers[0].Image != is.Spec.Template.Spec.Containers[0].Image {
			return false
		}
	}
	return true
}

func (w *World) judgeShrinking(c change, a allowed, sets []*appsv1.ReplicaSet, changed types.UID, from int32) {
	var left, lost int32
	for _, s := range sets {
		n := *s.Spec.Replicas
		least, most := w.available(c.by, s)
		left += min(n, most)
		if s.UID == changed {
			lost = min(from, least) - min(n, least)
		}
	}
	if lost > 0 && left < a.least {
		w.violated("%s shrinks from %d and leaves %d pods available, %d fewer; there must be %d", c, from, left, lost, a.least)
	}
}

// available is how many Pods a ReplicaSet's status has called available since the plan was made, at least and at most.
func (w *World) available(f *frame, set *appsv1.ReplicaSet) (least, most int32) {
	least = math.MaxInt32
	for _, o := range w.states(f, api.ReplicaSetKind, api.KeyOf(set)) {
		if n := o.(*appsv1.ReplicaSet).Status.AvailableReplicas; o.GetUID() == set.UID {
			least, most = min(least, n), max(most, n)
		}
	}
	return least, most
}

// states are all those of an object that a plan may have been made on: what the watch had told or, if that is later, what the process had itself written
// and been told of, and whatever came then.
func (w *World) states(f *frame, k *api.Kind, key api.Key) []api.Object {
	t, known := w.history.tracks[k], f.began[k]
	for _, v := range t.versions[key] {
		if v.life == f.life && w.heard(v.revision, f) {
			known = max(known, v.revision)
		}
	}
	return t.since(key, known)
}

// heard reports whether whoever made a revision had been told so when a plan was made.
func (w *World) heard(r api.Revision, f *frame) bool {
	at := w.checks.heard[r]
	return at != 0 && at <= f.planned
}

// unfinished is how many Pods of a ReplicaSet have not ended, also those that are being deleted, without those that came from elsewhere since the plan was made.
func (w *World) unfinished(f *frame, set types.UID) (n int32) {
	t := w.history.tracks[api.PodKind]
	of := func(o api.Object) bool { p, ok := o.(*corev1.Pod); return ok && controlledBy(p, set) && !api.Ended(p) }
	for key, o := range t.now {
		if of(o) && (of(last(t.versions[key], f.began[api.PodKind])) || w.checks.born[o.GetUID()].life == f.life) {
			n++
		}
	}
	return n
}

// judgeReplicas judges what the replicaset controller makes and removes: never more Pods than were asked for, and never fewer, not counting
// those that others took away meanwhile.
func (w *World) judgeReplicas(c change) {
	p, _ := orNil(c.after, c.before).(*corev1.Pod)
	ref := metav1.GetControllerOf(p)
	made := c.before == nil
	if ref == nil || !made && !removes(c) {
		return
	}
	most, least, known := int32(0), int32(math.MaxInt32), false
	for _, o := range w.states(c.by, api.ReplicaSetKind, api.Key{Namespace: c.key.Namespace, Name: ref.Name}) {
		if s := o.(*appsv1.ReplicaSet); s.UID == ref.UID {
			most, least, known = max(most, *s.Spec.Replicas), min(least, *s.Spec.Replicas), true
		}
	}
	switch n := int32(len(w.active(ref.UID))); {
	case !known:
	case made && n > most+w.cameMeanwhile(c.by, ref.UID):
		w.violated("replicaset %s makes %s and has %d pods, asked for were %d", ref.Name, c, n, most)
	case !made && n+w.wentMeanwhile(c.by, ref.UID) < least && counts(c.before.(*corev1.Pod)):
		w.violated("replicaset %s deletes %s and has %d pods left, asked for were %d", ref.Name, c, n, least)
	}
}

// counts reports whether a Pod is one that its ReplicaSet relies on.
func counts(p *corev1.Pod) bool { return !api.Ended(p) && p.DeletionTimestamp == nil }

// wentMeanwhile is how many of a ReplicaSet's Pods others have taken away, or let end, since the plan was made; cameMeanwhile how many they gave it.
// Others are also the other loops of the same process, as long as they are not told what became of their writes.
func (w *World) wentMeanwhile(f *frame, set types.UID) int32 {
	went, _ := w.meanwhileOf(f, set)
	return went
}
func (w *World) cameMeanwhile(f *frame, set types.UID) int32 {
	_, came := w.meanwhileOf(f, set)
	return came
}

func (w *World) meanwhileOf(f *frame, set types.UID) (went, came int32) {
	t := w.history.tracks[api.PodKind]
	for _, c := range t.changes[t.after(f.began[api.PodKind]):] {
		was, is := c.before != nil && controlledBy(c.before, set) && counts(c.before.(*corev1.Pod)), c.after != nil && controlledBy(c.after, set) && counts(c.after.(*corev1.Pod))
		if c.by == f || c.by.life == f.life && w.heard(c.revision, f) {
			continue
		}
		if was && !is {
			went++
		} else if is && !was {
			came++
		}
	}
	return went, came
}

func orNil(a, b api.Object) api.Object {
	if a != nil {
		return a
	}
	return b
}

// judgeReport: a ReplicaSet's status calls no more Pods available than were ready at some time since the plan was made.
func (w *World) judgeReport(c change) {
	is, ok := c.after.(*appsv1.ReplicaSet)
	if !ok {
		return
	}
	var n int32
	t := w.history.tracks[api.PodKind]
	for key := range t.versions {
		if key.Namespace != c.key.Namespace {
			continue
		}
		for _, o := range w.states(c.by, api.PodKind, key) {
			if p := o.(*corev1.Pod); controlledBy(p, is.UID) && counts(p) && api.PodReady(p) {
				n++
				break
			}
		}
	}
	if is.Status.AvailableReplicas > n {
		w.violated("%s: the status says that %d pods are available, there were %d", c, is.Status.AvailableReplicas, n)
	}
}
