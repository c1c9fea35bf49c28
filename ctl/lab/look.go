package lab

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/console"
)

// look is one reading of a lab's namespace.
type look struct {
	pods        []*corev1.Pod
	sets        []*appsv1.ReplicaSet
	deployments []*appsv1.Deployment
	events      []*corev1.Event
	turns       map[string]int  // how often each leader has changed since the lab began
	logged      map[string]bool // what was logged since then
}

// leases are held by those who lead, one copy each.
var leases = map[string]api.Key{
	"scheduler":   {Namespace: metav1.NamespaceSystem, Name: "optimist-scheduler"},
	"controllers": {Namespace: metav1.NamespaceSystem, Name: "optimist-controllers"},
}

// before is the annotation of the namespace that keeps how often a leader had changed when the lab began.
func before(component string) string { return "labs.optimist/" + component + "-leases" }

func transitions(ctx context.Context, svc api.Service, lease api.Key) (int, error) {
	l, err := api.Leases.Get(ctx, svc, lease)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil || l.Spec.LeaseTransitions == nil {
		return 0, err
	}
	return int(*l.Spec.LeaseTransitions), nil
}

func read(ctx context.Context, svc api.Service, ns string, log []byte) (at look, err error) {
	n, err := api.Namespaces.Get(ctx, svc, api.Key{Name: ns})
	if apierrors.IsNotFound(err) {
		return at, ErrNotBegun
	}
	if err != nil {
		return at, err
	}
	at.turns, at.logged = map[string]int{}, loggedSince(log, n.CreationTimestamp.Time)
	for name, key := range leases {
		now, err := transitions(ctx, svc, key)
		then, _ := strconv.Atoi(n.Annotations[before(name)])
		if err != nil {
			return at, err
		}
		at.turns[name] = now - then
	}
	var errs [4]error
	at.pods, errs[0] = api.Pods.List(ctx, svc, ns, api.ListOptions{})
	at.sets, errs[1] = api.ReplicaSets.List(ctx, svc, ns, api.ListOptions{})
	at.deployments, errs[2] = api.Deployments.List(ctx, svc, ns, api.ListOptions{})
	at.events, errs[3] = api.Events.List(ctx, svc, ns, api.ListOptions{})
	return at, errors.Join(errs[:]...)
}

// loggedSince are the messages of a component's own log.
func loggedSince(log []byte, began time.Time) map[string]bool {
	all := map[string]bool{}
	for line := range bytes.Lines(log) {
		if r, ok := console.Parse(string(line)); ok && r.Time.After(began) {
			all[r.Message] = true
		}
	}
	return all
}

func named[T api.Object](all []T, name string) (found T, ok bool) {
	for _, o := range all {
		if o.GetName() == name {
			return o, true
		}
	}
	return found, false
}

func (at look) pod(name string) *corev1.Pod {
	p, _ := named(at.pods, name)
	return p
}

func running(p *corev1.Pod) bool {
	return p != nil && p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil
}

// setsOf are the ReplicaSets of a deployment.
func (at look) setsOf(deployment string) (n int) {
	for _, s := range at.sets {
		if ref := metav1.GetControllerOf(s); ref != nil && ref.Name == deployment {
			n++
		}
	}
	return n
}

// said counts the Events of a reason about an object, or about those named after it; repetitions too.
func (at look) said(object, reason string) (n int) {
	for _, e := range at.events {
		if name := e.InvolvedObject.Name; (name == object || strings.HasPrefix(name, object+"-")) && e.Reason == reason {
			n += max(1, int(e.Count))
		}
	}
	return n
}

// available reports whether a deployment wants at least so many pods and has them all.
func (at look) available(deployment string, replicas int32) bool {
	d, ok := named(at.deployments, deployment)
	return ok && *d.Spec.Replicas >= replicas && d.Status.AvailableReplicas == *d.Spec.Replicas && d.Status.ObservedGeneration == d.Generation
}

// strays are the running pods with a label that nobody controls.
func (at look) strays(app string) (n int) {
	for _, p := range at.pods {
		if p.Labels["app"] == app && metav1.GetControllerOf(p) == nil && running(p) {
			n++
		}
	}
	return n
}
