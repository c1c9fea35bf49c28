package registry_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

// An Event goes an hour after it was last written, and its watchers learn of it.
func TestEventsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, registry.Options{})
		event := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "e"}, Reason: "Tested", Type: "Normal", Count: 1,
			InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "default", Name: "p"}, FirstTimestamp: metav1.Now(), LastTimestamp: metav1.Now()}
		written, err := api.Events.Create(t.Context(), r, event)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Minute)
		again := written.DeepCopy()
		again.Count = 2
		if _, err = api.Events.Update(t.Context(), r, again); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Minute)
		if _, err := api.Events.Get(t.Context(), r, api.KeyOf(written)); err != nil {
			t.Errorf("50 minutes after its last write: %v", err)
		}
		w, err := r.Watch(t.Context(), api.Target{Kind: api.EventKind}, api.WatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for batch, err := range w {
			if err != nil {
				t.Fatal(err)
			}
			if batch[0].Type == api.Deleted {
				break
			}
		}
		if _, err := api.Events.Get(t.Context(), r, api.KeyOf(written)); !apierrors.IsNotFound(err) {
			t.Errorf("the expired event: %v", err)
		}
	})
}

// A quiet watch learns how far the cluster has got.
func TestQuietWatchIsToldOfProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, registry.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		quiet, err := r.Watch(ctx, api.Target{Kind: api.SecretKind}, api.WatchOptions{Initial: true})
		if err != nil {
			t.Fatal(err)
		}
		b := mustCreate(t, r, configMap("b"))
		for batch, err := range quiet {
			if err != nil || batch[len(batch)-1].Revision >= api.RevisionOf(b) {
				break
			}
		}
	})
}
