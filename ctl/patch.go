package ctl

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"

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

// patches are the types of patches, and how each is applied where no server does it.
var patches = map[string]struct {
	types.PatchType
	apply func(before, patch []byte, shape api.Object) ([]byte, error)
}{
	"json": {types.JSONPatchType, func(before, patch []byte, _ api.Object) ([]byte, error) {
		ops, err := jsonpatch.DecodePatch(patch)
		if err != nil {
			return nil, err
		}
		return ops.Apply(before)
	}},
	"merge": {types.MergePatchType, func(before, patch []byte, _ api.Object) ([]byte, error) { return jsonpatch.MergePatch(before, patch) }},
	"strategic": {types.StrategicMergePatchType, func(before, patch []byte, shape api.Object) ([]byte, error) {
		return strategicpatch.StrategicMergePatch(before, patch, shape)
	}},
}

func patchCommand(s *session) *cobra.Command {
	m := newModify(s)
	var text, how, sub string
	c := m.command(&cobra.Command{Use: "patch TYPE/NAME -p PATCH", Short: "Change fields of an object",
		Example: "  ctl patch deployment/web -p '{\"spec\":{\"replicas\":2}}'\n" +
			"  ctl patch pod/web --type=json -p '[{\"op\":\"remove\",\"path\":\"/metadata/finalizers/0\"}]'"})
	c.Flags().StringVarP(&text, "patch", "p", "", "The patch, as JSON or YAML")
	c.Flags().StringVar(&how, "type", "strategic", "What kind of patch: json, merge or strategic")
	c.Flags().StringVar(&sub, "subresource", "", `A part of the object that is written by itself: "status" or "scale"`)
	c.RunE = func(c *cobra.Command, args []string) error {
		patch, err := yaml.YAMLToJSON([]byte(text))
		switch {
		case patches[how].apply == nil:
			return usage(c, "--type must be one of [json merge strategic], not %q", how)
		case text == "":
			return usage(c, "must specify --patch containing the contents of the patch")
		case err != nil:
			return fmt.Errorf("unable to parse %q: %w", text, err)
		}
		m.send = func(ctx context.Context, t api.Target, _, _ api.Object) (api.Result, error) {
			t.Sub = sub
			return m.sendPatch(ctx, t, patches[how].PatchType, patch)
		}
		m.change = func(o api.Object) (string, error) {
			if m.local || m.dry == "client" {
				return "patched", patched(o, func(before []byte) ([]byte, error) { return patches[how].apply(before, patch, o) })
			}
			return "patched", nil
		}
		return m.run(c, args)
	}
	return c
}

// patched changes an object as JSON; what is not there any more must not stay.
func patched(o api.Object, change func([]byte) ([]byte, error)) error {
	before, _ := json.Marshal(o) // of typed objects this never fails
	after, err := change(before)
	if err != nil {
		return err
	}
	fresh := reflect.New(reflect.TypeOf(o).Elem())
	if err := json.Unmarshal(after, fresh.Interface()); err != nil {
		return err
	}
	reflect.ValueOf(o).Elem().Set(fresh.Elem())
	return nil
}
