package ctl

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"optimist/internal/api"
)

// stamp returns the object as JSON with itself, as its author wrote it, in the last-applied annotation: what the next apply compares with, to
// know which fields the author has taken out. The form is byte for byte kubectl's, so that the two can take turns. plain leaves the annotation out.
func stamp(o *unstructured.Unstructured, plain bool) ([]byte, error) {
	bare := o.DeepCopy()
	annotations := bare.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	delete(annotations, corev1.LastAppliedConfigAnnotation)
	bare.SetAnnotations(annotations)
	written, err := bare.MarshalJSON()
	if err != nil || plain {
		return written, err
	}
	annotations[corev1.LastAppliedConfigAnnotation] = string(written)
	bare.SetAnnotations(annotations)
	return bare.MarshalJSON()
}

// threeWay returns the strategic merge patch that brings the current object to what its author now wants: what is in `modified` is set, what
// was in `original` (the last apply) and is no longer is removed, and what others have set stays.
func threeWay(k *api.Kind, version string, original, modified []byte, current api.Object) ([]byte, error) {
	typed, err := k.New(version)
	if err != nil {
		return nil, err
	}
	schema, err := strategicpatch.NewPatchMetaFromStruct(typed)
	if err != nil {
		return nil, err
	}
	now, err := json.Marshal(api.Kinded(k, version, current.DeepCopyObject().(api.Object)))
	if err != nil {
		return nil, err
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(original, modified, now, schema, true,
		mergepatch.RequireKeyUnchanged("apiVersion"), mergepatch.RequireKeyUnchanged("kind"), mergepatch.RequireMetadataKeyUnchanged("name"))
	if err != nil {
		return nil, fmt.Errorf("compare with the last apply: %w", err)
	}
	return patch, nil
}
