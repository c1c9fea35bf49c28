package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"optimist/ctl/manifest"
	"optimist/internal/api"
)

// serverSide is how apply lets the server merge, which knows whose each field is.
type serverSide struct{ on, force bool }

func (s *serverSide) flags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&s.on, "server-side", false, "Let the server merge: it knows which fields are whose, and refuses to change others'")
	f.BoolVar(&s.force, "force-conflicts", false, "With --server-side: take over the fields that others have")
}

func (s *serverSide) check(c *cobra.Command, dry string) error {
	switch {
	case s.force && !s.on:
		return usage(c, "--force-conflicts only works with --server-side")
	case s.on && dry == "client":
		return usage(c, "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)")
	}
	return nil
}

// applyThere is apply by the server.
func (w *writing) applyThere(ctx context.Context, t api.Target, d manifest.Document) (api.Result, string, error) {
	data, err := d.Object.MarshalJSON()
	if err == nil && w.dry == "none" {
		err = w.handOver(ctx, t)
	}
	if err != nil {
		return api.Result{}, "applying", err
	}
	result, did, err := w.write(ctx, api.Request{Target: t, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.ApplyYAMLPatchType, Data: data},
		Options: api.Options{Force: w.server.force}}, "applying", "serverside-applied")
	if apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict) {
		err = fmt.Errorf("%w\nleave these fields out of the file, or take them over with --force-conflicts", err)
	}
	return result, did, err
}

// clientSide are the names under which ctl and kubectl apply without the server's help.
var clientSide = []string{manager, "kubectl-client-side-apply"}

// handOver makes what was applied from here the server's knowledge: the fields that were set so far by comparing with the last-applied annotation
// become applied ones, so that those which the file no longer names go away.
func (w *writing) handOver(ctx context.Context, t api.Target) error {
	live, err := w.Get(ctx, t, api.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil || live.Object.GetAnnotations()[corev1.LastAppliedConfigAnnotation] == "" {
		return err
	}
	fields, err := handedOver(live.Object.GetManagedFields(), w.manager)
	if err != nil || fields == nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"managedFields": fields, "resourceVersion": live.Object.GetResourceVersion()}})
	if err == nil {
		_, _, err = w.write(ctx, api.Request{Target: t, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.MergePatchType, Data: patch}}, "", "")
	}
	return err
}

// handedOver joins what was applied from here with what `manager` has applied by the server; nil if there is nothing.
func handedOver(fields []metav1.ManagedFieldsEntry, manager string) ([]metav1.ManagedFieldsEntry, error) {
	var all fieldpath.Set
	var joined metav1.ManagedFieldsEntry
	var wrong error
	rest := slices.DeleteFunc(slices.Clone(fields), func(e metav1.ManagedFieldsEntry) bool {
		here := e.Operation == metav1.ManagedFieldsOperationUpdate && slices.Contains(clientSide, e.Manager)
		if e.Subresource != "" || !here && (e.Operation != metav1.ManagedFieldsOperationApply || e.Manager != manager) || e.FieldsV1 == nil {
			return false
		}
		var set fieldpath.Set
		wrong = errors.Join(wrong, set.FromJSON(bytes.NewReader(e.FieldsV1.GetRawBytes())))
		all = *all.Union(&set)
		if here {
			joined = e
		}
		return true
	})
	if wrong != nil || joined.Manager == "" {
		return nil, wrong
	}
	text, err := all.ToJSON()
	joined.Manager, joined.Operation, joined.FieldsV1 = manager, metav1.ManagedFieldsOperationApply, metav1.NewFieldsV1(string(text))
	return append(rest, joined), err
}
