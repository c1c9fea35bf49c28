package deployment

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

// The annotations that make ReplicaSets a history: `ctl rollout history` lists them, `rollout undo` brings a template back.
const (
	revisionAnnotation = "deployment.kubernetes.io/revision"
	historyAnnotation  = "deployment.kubernetes.io/revision-history" // the revisions that a ReplicaSet had been before
)

// ownAnnotations are not copied from a Deployment to its ReplicaSets; all others are, among them kubernetes.io/change-cause.
var ownAnnotations = []string{corev1.LastAppliedConfigAnnotation, revisionAnnotation, historyAnnotation, desiredAnnotation, maxAnnotation,
	appsv1.DeprecatedRollbackTo}

func revision(set *appsv1.ReplicaSet) int64 {
	n, err := strconv.ParseInt(set.Annotations[revisionAnnotation], 10, 64)
	if err != nil {
		return 0 // never annotated: before all others
	}
	return n
}

func (r rollout) nextRevision() int64 {
	var newest int64
	for _, set := range r.old {
		newest = max(newest, revision(set))
	}
	return newest + 1
}

// noteRevision makes a ReplicaSet at least that revision, copies the Deployment's annotations to it, and reports whether anything changed.
func noteRevision(d *appsv1.Deployment, set *appsv1.ReplicaSet, rev int64) (changed bool) {
	for key, value := range d.Annotations {
		if !slices.Contains(ownAnnotations, key) && note(set, key, value) {
			changed = true
		}
	}
	was := revision(set)
	if was >= rev {
		return changed
	}
	if was > 0 {
		past := append(strings.FieldsFunc(set.Annotations[historyAnnotation], func(c rune) bool { return c == ',' }), strconv.FormatInt(was, 10))
		note(set, historyAnnotation, strings.Join(past, ","))
	}
	return note(set, revisionAnnotation, strconv.FormatInt(rev, 10))
}

// annotate keeps what the new ReplicaSet and the Deployment say of each other up to date.
func (r rollout) annotate() []reconcile.Action {
	if r.new == nil {
		return nil
	}
	d := r.deployment
	set := r.new.DeepCopy()
	changed := noteRevision(d, set, r.nextRevision())
	if changed || set.Spec.MinReadySeconds != d.Spec.MinReadySeconds {
		set.Spec.MinReadySeconds = d.Spec.MinReadySeconds
		return []reconcile.Action{reconcile.Update(api.ReplicaSetKind, "", set, fmt.Sprintf("it is revision %d", revision(set)), nil)}
	}
	if now := set.Annotations[revisionAnnotation]; d.Annotations[revisionAnnotation] != now {
		next := d.DeepCopy()
		if next.Annotations == nil {
			next.Annotations = map[string]string{}
		}
		next.Annotations[revisionAnnotation] = now
		return []reconcile.Action{reconcile.Update(api.DeploymentKind, "", next, "its template is revision "+now, nil)}
	}
	if progress(&d.Status) == nil && hasDeadline(d) {
		next := d.DeepCopy()
		r.setProgress(&next.Status, "FoundNewReplicaSet", fmt.Sprintf("Found new replica set %q", set.Name))
		return []reconcile.Action{reconcile.Update(api.DeploymentKind, "status", next, "a ReplicaSet with its template exists", nil)}
	}
	return nil
}

// cleanUp deletes the oldest of the ReplicaSets that are scaled down, beyond revisionHistoryLimit, once nothing is being rolled out.
func (r rollout) cleanUp() []reconcile.Action {
	limit := r.deployment.Spec.RevisionHistoryLimit
	if limit == nil || !r.deployment.Spec.Paused && !r.complete(r.status()) {
		return nil
	}
	old := slices.DeleteFunc(slices.Clone(r.old), func(s *appsv1.ReplicaSet) bool { return s.DeletionTimestamp != nil })
	slices.SortFunc(old, func(a, b *appsv1.ReplicaSet) int { return cmp.Or(cmp.Compare(revision(a), revision(b)), older(a, b)) })
	var steps []reconcile.Action
	for _, set := range old[:max(0, len(old)-int(*limit))] {
		if *set.Spec.Replicas == 0 && set.Status.Replicas == 0 && set.Status.ObservedGeneration >= set.Generation {
			steps = append(steps, reconcile.Delete(api.ReplicaSetKind, set, fmt.Sprintf("%d old ReplicaSets, %d are kept", len(old), *limit), nil))
		}
	}
	return steps
}
