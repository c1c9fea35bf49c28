package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
)

// Tells reports whether the object that a write left behind says more than the write: then ask for it, and for the one before, and see Said.
func Tells(e api.Entry) bool {
	switch e.Object.Kind {
	case api.EventKind.Name:
		return true
	case api.PodKind.Name:
		return e.Sub == "status" || e.Sub == "binding"
	}
	return e.Object.Kind == api.DeploymentKind.Name && e.Sub == "status"
}

// Said is what an object says about itself that it did not say before (nil: it did not exist): where a pod runs, which of its containers have started
// or ended, that a Deployment is rolled out, what an Event is about.
func Said(before, after api.Object) string {
	switch o := after.(type) {
	case *corev1.Event:
		return fmt.Sprintf("%s (%s/%s)", o.Reason, strings.ToLower(o.InvolvedObject.Kind), o.InvolvedObject.Name)
	case *appsv1.Deployment:
		if old, ok := before.(*appsv1.Deployment); ok && through(o) && !through(old) {
			return "rolled out"
		}
	case *corev1.Pod:
		old, ok := before.(*corev1.Pod)
		if !ok {
			old = &corev1.Pod{}
		}
		return strings.Join(news(old, o), ", ")
	}
	return ""
}

func news(old, pod *corev1.Pod) (all []string) {
	if pod.Spec.NodeName != old.Spec.NodeName {
		all = append(all, "to "+pod.Spec.NodeName)
	}
	was := statuses(old)
	for _, s := range statuses(pod) {
		i := slices.IndexFunc(was, func(c corev1.ContainerStatus) bool { return c.Name == s.Name })
		var o corev1.ContainerStatus
		if i >= 0 {
			o = was[i]
		}
		switch {
		case s.State.Running != nil && (o.State.Running == nil || o.ContainerID != s.ContainerID):
			all = append(all, fmt.Sprintf("container %s started", s.Name))
		case s.State.Terminated != nil && o.State.Terminated == nil:
			all = append(all, fmt.Sprintf("container %s ended (%s)", s.Name, cmp.Or(s.State.Terminated.Reason, fmt.Sprint("exit code ", s.State.Terminated.ExitCode))))
		case s.State.Waiting != nil && (o.State.Waiting == nil || o.State.Waiting.Reason != s.State.Waiting.Reason):
			all = append(all, fmt.Sprintf("container %s waits (%s)", s.Name, s.State.Waiting.Reason))
		}
	}
	if api.PodReady(pod) && !api.PodReady(old) {
		all = append(all, "ready")
	}
	return all
}

func through(d *appsv1.Deployment) bool {
	return d.Generation == d.Status.ObservedGeneration && d.Spec.Replicas != nil && d.Status.UpdatedReplicas == *d.Spec.Replicas &&
		d.Status.Replicas == d.Status.UpdatedReplicas && d.Status.AvailableReplicas == d.Status.UpdatedReplicas
}

func statuses(p *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses)
}
