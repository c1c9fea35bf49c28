package registry_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
)

// gate writes down what it sees; it labels what comes in, and lets nothing out of the namespace kept.
type gate struct{ seen []string }

func (g *gate) Mutate(_ context.Context, r api.Request, object, old api.Object) error {
	g.seen = append(g.seen, "mutate "+string(r.Verb))
	if c, ok := object.(*corev1.ConfigMap); ok {
		delete(c.Data, "default")
		c.Labels = map[string]string{"passed": "gate"}
	}
	return nil
}

func (g *gate) Check(_ context.Context, r api.Request, object, old api.Object) error {
	g.seen = append(g.seen, "check "+string(r.Verb))
	if object == nil && old.GetName() == "kept" {
		return apierrors.NewForbidden(r.Kind.Resource(), r.Key.Name, errors.New("it is kept"))
	}
	return nil
}

// The pipeline's order: default, mutate, default again, prepare, validate, check; a dry run takes all steps but the commit.
func TestPipeline(t *testing.T) {
	var steps []string
	rules := registry.Rules{
		Kind: api.ConfigMapKind,
		Default: func(o api.Object) {
			steps = append(steps, "default")
			if c := o.(*corev1.ConfigMap); c.Data["default"] == "" {
				c.Data = map[string]string{"default": "yes"}
			}
		},
		Prepare: func(_ context.Context, _ string, o, _ api.Object) {
			steps = append(steps, "prepare "+o.GetLabels()["passed"])
		},
		Validate: func(_ string, o, _ api.Object) field.ErrorList {
			steps = append(steps, "validate "+o.(*corev1.ConfigMap).Data["default"])
			return nil
		},
		Warnings: func(api.Object) []string { return []string{"beware"} },
	}
	g := &gate{}
	r, err := registry.New(memory.New(), registry.Options{Rules: []registry.Rules{rules}, Mutators: []registry.Mutator{g}, Checkers: []registry.Checker{g}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []bool{true, false} {
		steps, g.seen = nil, nil
		req := api.ConfigMaps.Request(api.VerbCreate, api.Key{Namespace: "default", Name: "kept"}, "", configMap("kept"))
		req.DryRun = dry
		res, err := r.Write(t.Context(), req)
		if err != nil || !slices.Equal(res.Warnings, []string{"beware"}) {
			t.Fatalf("%v, warnings %q", err, res.Warnings)
		}
		if want := []string{"default", "default", "prepare gate", "validate yes"}; !slices.Equal(steps, want) {
			t.Errorf("the steps are %q, want %q", steps, want)
		}
		if want := []string{"mutate create", "check create"}; !slices.Equal(g.seen, want) {
			t.Errorf("the gate has seen %q, want %q", g.seen, want)
		}
	}
	if err := api.ConfigMaps.Delete(t.Context(), r, api.Key{Namespace: "default", Name: "kept"}, api.Options{}); !apierrors.IsForbidden(err) {
		t.Errorf("the gate has let it go: %v", err)
	}
}
