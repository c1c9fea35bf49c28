package pod

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"optimist/internal/api"
)

// writeStatus patches what differs; conditions are keyed by type, so that other writers' stay. If the API server did not take it as it was
// written, that is a failure: otherwise we would write it again and again without a pause.
func (w *Worker) writeStatus(ctx context.Context, v View, s Step) error {
	before, _ := json.Marshal(&corev1.Pod{Status: v.Pod.Status}) // of typed objects these never fail
	after, _ := json.Marshal(&corev1.Pod{Status: *s.Status})
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, &corev1.Pod{})
	if err != nil {
		return err
	}
	r := api.Pods.Request(api.VerbPatch, w.key, "status", nil)
	r.Patch = &api.Patch{Type: types.StrategicMergePatchType, Data: patch}
	r.Pre.UID = w.uid
	written, err := w.host.Service.Write(ctx, r)
	if err != nil {
		return err
	}
	w.line.Wrote = written.Revision
	w.tellBackOffs(ctx, v, s.Status)
	v.Pod, _ = written.Object.(*corev1.Pod)
	if v.Pod != nil && len(report(v, time.Now(), "")) > 0 {
		return fmt.Errorf("the API server keeps another status than was written")
	}
	return nil
}

// tellBackOffs says once for each back-off that it began.
func (w *Worker) tellBackOffs(ctx context.Context, v View, s *corev1.PodStatus) {
	for _, c := range slices.Concat(s.InitContainerStatuses, s.ContainerStatuses) {
		if waitsFor(&c) == waitsFor(StatusOf(v.Pod, c.Name)) {
			continue
		}
		switch waitsFor(&c) {
		case crashLoopBackOff:
			w.say(ctx, corev1.EventTypeWarning, "BackOff", "Back-off restarting failed container %s in pod %s", c.Name, fullName(v.Pod))
		case imagePullBackOff:
			w.say(ctx, corev1.EventTypeNormal, "BackOff", "Back-off pulling image %q", c.Image)
			w.say(ctx, corev1.EventTypeWarning, "Failed", "Error: "+imagePullBackOff)
		}
	}
}

func waitsFor(c *corev1.ContainerStatus) string {
	if c == nil || c.State.Waiting == nil {
		return ""
	}
	return c.State.Waiting.Reason
}

// deletePod tells the API server that nothing of the pod is left; the uid keeps a new Pod of the same name safe. If the Pod was gone already,
// a cache that has not heard of it yet is a reason to wait, not to tell it again at once.
func (w *Worker) deletePod(ctx context.Context, _ View, _ Step) error {
	now := int64(0)
	err := api.Pods.Delete(ctx, w.host.Service, w.key, api.Options{Grace: &now, Pre: api.Preconditions{UID: w.uid}, Propagation: metav1.DeletePropagationBackground})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return err
	}
	w.memory.Confirmed = true
	if pod, ok := w.host.Pods.Get(w.key); err != nil && ok && pod.UID == w.uid {
		return fmt.Errorf("the Pod is gone, but the watch has not told so yet: %w", err)
	}
	return nil
}

// confirm asks the API server, past all caches, whether the pod is gone; and does not believe a server that has lost data.
func (w *Worker) confirm(ctx context.Context, v View, _ Step) error {
	l, err := w.host.Service.List(ctx, api.Target{Kind: api.PodKind, Key: api.Key{Namespace: w.key.Namespace}}, api.ListOptions{
		Fields: fields.AndSelectors(fields.OneTermEqualSelector("metadata.name", w.key.Name), fields.OneTermEqualSelector("spec.nodeName", w.host.Node.Name))})
	if err != nil {
		return err
	}
	for _, o := range l.Items {
		if o.GetUID() == w.uid {
			return fmt.Errorf("pod %s is not in the cache, but the API server has it", w.key)
		}
	}
	if err := w.believe(ctx, v, l.Revision); err != nil {
		return err
	}
	w.memory.Confirmed = true
	return nil
}

// believe looks for signs that the API server has lost data: it is at an older revision than we have seen, or it has only come to know this
// node after the pod was started. (Whoever deletes a Node while its agent is down has to clean up there.)
func (w *Worker) believe(ctx context.Context, v View, now api.Revision) error {
	if seen := w.seen(v); now < seen {
		return fmt.Errorf("the API server is at revision %d and has lost what it said at %d; pod %s is left as it is until the server is restored", now, seen, w.key)
	}
	if w.pod != nil || v.Sandbox == nil {
		return nil
	}
	n, err := api.Nodes.Get(ctx, w.host.Service, api.Key{Name: w.host.Node.Name})
	if err != nil {
		return err
	}
	if n.CreationTimestamp.After(v.Sandbox.Created) {
		return fmt.Errorf("the API server knows this node only since after pod %s was started, so it may have lost data; the pod is left as it is: "+
			"restore the server, or stop the agent and run it with --cleanup remove", w.key)
	}
	return nil
}

// seen is the newest revision that this pod is known from.
func (w *Worker) seen(v View) api.Revision {
	if w.pod != nil {
		return api.RevisionOf(w.pod)
	}
	if v.Sandbox == nil {
		return 0
	}
	r, _ := api.ParseRevision(v.Sandbox.Labels[labelRevision])
	return r
}
