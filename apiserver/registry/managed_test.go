package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"optimist/apiserver/registry"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

// world is what should be: the values, and who has each key.
type world struct {
	values map[string]string
	owners map[string]map[string]bool
}

// change sets and removes keys for one manager; all others lose what it changes.
func (w *world) change(who string, set map[string]string, gone []string) {
	for k, v := range set {
		if old, ok := w.values[k]; !ok || old != v {
			w.owners[k] = map[string]bool{who: true}
		}
		w.values[k] = v
	}
	for _, k := range gone {
		delete(w.values, k)
		delete(w.owners, k)
	}
}

// apply says whether it must fail.
func (w *world) apply(who string, set map[string]string, force bool) bool {
	for k, v := range set {
		if old, ok := w.values[k]; ok && old != v && !force && len(w.owners[k]) > 0 && !maps.Equal(w.owners[k], map[string]bool{who: true}) {
			return false
		}
	}
	w.change(who, set, nil)
	for k, all := range w.owners {
		if _, wanted := set[k]; wanted {
			all[who] = true
		} else if delete(all, who); len(all) == 0 {
			w.change(who, nil, []string{k})
		}
	}
	return true
}

func (w *world) String() string {
	var all []string
	for k, who := range w.owners {
		all = append(all, fmt.Sprintf("%s=%s: %v", k, w.values[k], slices.Sorted(maps.Keys(who))))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// seen is the world as an object describes it.
func seen(t *rapid.T, o *corev1.ConfigMap) *world {
	w := &world{values: o.Data, owners: map[string]map[string]bool{}}
	for _, e := range o.ManagedFields {
		var fields map[string]map[string]any
		if err := json.Unmarshal(e.FieldsV1.GetRawBytes(), &fields); err != nil {
			t.Fatal(err)
		}
		for f := range fields["f:data"] {
			if k, ok := strings.CutPrefix(f, "f:"); ok && k != "always" {
				if w.owners[k] == nil {
					w.owners[k] = map[string]bool{}
				}
				w.owners[k][e.Manager] = true
			}
		}
	}
	return w
}

// Whatever several managers apply and update: everybody has what he applied last unless somebody else has taken it, what nobody wants any more
// goes, and the same again changes nothing.
func TestManagersKeepWhatTheyHave(t *testing.T) {
	r := open(t, registry.Options{})
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		at := api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: "default", Name: fmt.Sprint("c", n)}}
		want := &world{map[string]string{}, map[string]map[string]bool{}}
		write := func(req api.Request) (*corev1.ConfigMap, error) {
			req.Target, req.Verb = at, api.VerbPatch
			res, err := r.Write(context.Background(), req)
			if err != nil {
				return nil, err
			}
			return res.Object.(*corev1.ConfigMap), nil
		}
		document := func(data map[string]*string) []byte {
			doc := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]string{"name": at.Key.Name}}
			if len(data) > 0 {
				doc["data"] = data
			}
			text, _ := json.Marshal(doc)
			return text
		}
		begun := fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {always: there}}", at.Key.Name) // whoever made the map itself owns it
		if _, err := write(api.Request{Patch: &api.Patch{Type: types.ApplyYAMLPatchType, Data: []byte(begun)}, Options: api.Options{Manager: "first"}}); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 12).Draw(t, "writes") {
			data, set, gone := map[string]*string{}, map[string]string{}, []string{}
			applies := rapid.IntRange(0, 3).Draw(t, "update") > 0
			for k, v := range rapid.MapOf(rapid.SampledFrom([]string{"k", "l", "m", "n"}), rapid.SampledFrom([]string{"1", "2", ""})).Draw(t, "data") {
				switch {
				case v != "":
					data[k], set[k] = &v, v
				case !applies:
					data[k], gone = nil, append(gone, k)
				}
			}
			if !applies {
				o, err := write(api.Request{Patch: &api.Patch{Type: types.MergePatchType, Data: document(data)}, Options: api.Options{Manager: "updater"}})
				if err != nil {
					t.Fatal(err)
				}
				want.change("updater", set, gone)
				if have := seen(t, o); have.String() != want.String() {
					t.Fatalf("after an update to %v it is\n%s\nwant\n%s", set, have, want)
				}
				continue
			}
			req := api.Request{Patch: &api.Patch{Type: types.ApplyYAMLPatchType, Data: document(data)}, Options: api.Options{
				Manager: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "manager"), Force: rapid.Bool().Draw(t, "force")}}
			o, err := write(req)
			if ok := want.apply(req.Manager, set, req.Force); ok != (err == nil) || err != nil && !apierrors.IsConflict(err) {
				t.Fatalf("%s applies %v to\n%s\n%v", req.Manager, set, want, err)
			}
			if err != nil {
				continue
			}
			if have := seen(t, o); have.String() != want.String() {
				t.Fatalf("after %s has applied %v it is\n%s\nwant\n%s", req.Manager, set, have, want)
			}
			if again, err := write(req); err != nil || again.ResourceVersion != o.ResourceVersion {
				t.Fatalf("the same again: %v, %v", again, err)
			}
		}
	})
}

const limited = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}},
  spec: {containers: [{name: c, image: i, resources: {limits: {cpu: 1000m}}}]}}}}`

// What is applied again later, and written a little differently than it is kept, is no write. The system's own writes are told by their users' names.
func TestSameAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, registry.Options{})
		web := api.Target{Kind: api.DeploymentKind, Key: api.Key{Namespace: "default", Name: "web"}}
		apply := func() api.Object {
			res, err := r.Write(t.Context(), api.Request{Target: web, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.ApplyYAMLPatchType, Data: []byte(limited)}, Options: api.Options{Manager: "a"}})
			if err != nil {
				t.Fatal(err)
			}
			return res.Object
		}
		first := apply()
		time.Sleep(time.Hour)
		if again := apply(); again.GetResourceVersion() != first.GetResourceVersion() || !again.GetManagedFields()[0].Time.Equal(first.GetManagedFields()[0].Time) {
			t.Errorf("the same again is a write: %v after %v", again.GetManagedFields(), first.GetManagedFields())
		}
		ctx := api.WithUser(t.Context(), api.User{Name: "system:node:" + strings.Repeat("n", 200)})
		if _, err := api.Deployments.Patch(ctx, r, web.Key, "status", types.MergePatchType, []byte(`{"status":{"replicas":1}}`)); err != nil {
			t.Fatal(err)
		}
		res, err := r.Get(t.Context(), web, api.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if last := res.Object.GetManagedFields()[1]; last.Manager != "system:node:"+strings.Repeat("n", 116) || last.Subresource != "status" {
			t.Errorf("after a node has written the status: %+v", last)
		}
		for n := range 12 {
			time.Sleep(time.Second)
			res, err = r.Write(t.Context(), api.Request{Target: web, Verb: api.VerbPatch, Options: api.Options{Manager: fmt.Sprint("u", n)},
				Patch: &api.Patch{Type: types.MergePatchType, Data: fmt.Appendf(nil, `{"metadata":{"labels":{"l%d":"x"}}}`, n)}})
			if err != nil {
				t.Fatal(err)
			}
		}
		if all := res.Object.GetManagedFields(); len(all) != 11 || all[1].Manager != "ancient-changes" {
			t.Errorf("after many updates: %v", all)
		}
	})
}

// Whatever the kind: the same again is no write, though it has been defaulted and converted meanwhile; and another manager may agree.
func TestEveryKindIsApplied(t *testing.T) {
	samples, err := os.ReadFile("kinds/testdata/stored.yaml")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := open(t, registry.Options{})
		for text := range strings.SplitSeq(string(samples), "\n---\n") {
			o := apitest.Object(t, text)
			at := api.Target{Kind: api.Builtin.Of(o), Version: o.GetObjectKind().GroupVersionKind().Version, Key: api.KeyOf(o)}
			if at.Kind.Namespaced {
				at.Key.Namespace = "default"
			}
			o.SetUID("")
			text, err := json.Marshal(o) // YAML's y is a boolean
			if err != nil {
				t.Fatal(err)
			}
			apply := func(who string) api.Object {
				time.Sleep(time.Second)
				res, err := r.Write(t.Context(), api.Request{Target: at, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.ApplyYAMLPatchType, Data: text},
					Options: api.Options{Manager: who, Force: true}}) // 10 is another value than "10", as in Kubernetes
				if err != nil {
					t.Fatalf("%s by %s: %v", at.Kind, who, err)
				}
				return res.Object
			}
			first := apply("a")
			if again := apply("a"); again.GetResourceVersion() != first.GetResourceVersion() || len(again.GetManagedFields()) != 1 {
				t.Errorf("%s: the same again is a write:\n%v\n%v", at.Kind, first, again)
			}
			if both := apply("b"); len(both.GetManagedFields()) == 0 || both.GetGeneration() != first.GetGeneration() {
				t.Errorf("%s: after another one has agreed: %v", at.Kind, both.GetManagedFields())
			}
		}
	})
}

// An object that is too large only with its managedFields goes without.
func TestTooLargeForManagers(t *testing.T) {
	r := open(t, registry.Options{})
	large := configMap("large")
	large.Data = map[string]string{}
	for n := range 3600 {
		large.Data[fmt.Sprintf("%0253d", n)] = ""
	}
	res, err := r.Write(t.Context(), api.Request{Target: api.Target{Kind: api.ConfigMapKind, Key: api.KeyOf(large)}, Verb: api.VerbCreate, Body: large, Options: api.Options{Manager: "a"}})
	if err != nil || res.Object.GetManagedFields() != nil {
		t.Errorf("%v, %d managers", err, len(res.Object.GetManagedFields()))
	}
}

// A kind in two versions: each manager's fields are kept in the version that it spoke.
func TestManagersOfTwoVersions(t *testing.T) {
	r := open(t, registry.Options{})
	apply := func(version, who, spec string) (api.Object, error) {
		res, err := r.Write(t.Context(), api.Request{Target: api.Target{Kind: api.HorizontalPodAutoscalerKind, Version: version, Key: api.Key{Namespace: "default", Name: "h"}}, Verb: api.VerbPatch,
			Patch:   &api.Patch{Type: types.ApplyYAMLPatchType, Data: []byte("{apiVersion: autoscaling/" + version + ", kind: HorizontalPodAutoscaler, metadata: {name: h}, spec: {" + spec + "}}")},
			Options: api.Options{Manager: who}})
		return res.Object, err
	}
	const target = "scaleTargetRef: {kind: Deployment, name: web, apiVersion: apps/v1}, maxReplicas: 3, "
	if _, err := apply("v1", "a", target+"minReplicas: 2"); err != nil {
		t.Fatal(err)
	}
	if _, err := apply("v2", "b", "maxReplicas: 4"); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "a": .spec.maxReplicas`) {
		t.Errorf("another value in another version: %v", err)
	}
	o, err := apply("v2", "b", "behavior: {scaleDown: {stabilizationWindowSeconds: 7}}")
	if err != nil || len(o.GetManagedFields()) != 2 || o.GetManagedFields()[0].APIVersion != "autoscaling/v1" || o.GetManagedFields()[1].APIVersion != "autoscaling/v2" {
		t.Fatalf("another field in another version: %v, %v", o, err)
	}
	if same, err := apply("v1", "a", target+"minReplicas: 2"); err != nil || same.GetResourceVersion() != o.GetResourceVersion() {
		t.Fatalf("the same again in the older version: %v, %v", same, err)
	}
	if o, err = apply("v2", "a", target); err != nil || len(o.GetManagedFields()) != 2 {
		t.Fatalf("less by the same manager in another version: %v, %v", o, err)
	}
	if h := o.(*autoscalingv2.HorizontalPodAutoscaler); h.Spec.MinReplicas != nil && *h.Spec.MinReplicas == 2 || *h.Spec.Behavior.ScaleDown.StabilizationWindowSeconds != 7 {
		t.Errorf("it is now %+v", h.Spec)
	}
}

// BenchmarkManaged is what managedFields cost: a status written by who has no name, without and with them, and an apply.
func BenchmarkManaged(b *testing.B) {
	r, err := registry.New(memory.New(), registry.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := r.Bootstrap(b.Context()); err != nil {
		b.Fatal(err)
	}
	web := api.Target{Kind: api.DeploymentKind, Key: api.Key{Namespace: "default", Name: "web"}}
	send := func(b *testing.B, req api.Request) {
		req.Target.Kind, req.Target.Key = web.Kind, web.Key
		if _, err := r.Write(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
	status := func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			send(b, api.Request{Target: api.Target{Sub: "status"}, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.MergePatchType, Data: fmt.Appendf(nil, `{"status":{"replicas":%d}}`, n)}})
		}
	}
	apply := api.Request{Verb: api.VerbPatch, Patch: &api.Patch{Type: types.ApplyYAMLPatchType, Data: []byte(limited)}, Options: api.Options{Manager: "a", Force: true}}
	send(b, api.Request{Verb: api.VerbCreate, Raw: &api.Raw{MediaType: "application/yaml", Data: []byte(limited)}})
	b.Run("status, untracked", status)
	send(b, apply)
	b.Run("status, tracked", status)
	b.Run("apply", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			apply.Patch.Data = []byte(strings.Replace(limited, "image: i", fmt.Sprint("image: i", n), 1))
			send(b, apply)
		}
	})
}
