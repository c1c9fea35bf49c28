package kinds

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"sigs.k8s.io/yaml"

	"optimist/apiserver/registry"
	ours "optimist/apiserver/registry/kinds"
	"optimist/internal/api"
)

//go:embed testdata/samples.yaml
var own string

// samples are valid objects: those of the stored kinds, and some with more fields of the kinds that are acted on.
func samples(t *testing.T) (all []map[string]any) {
	t.Helper()
	stored, err := os.ReadFile("../../../apiserver/registry/kinds/testdata/stored.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.SplitSeq(own+"\n---\n"+string(stored), "\n---\n") {
		var what metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(text), &what); err != nil {
			t.Fatal(err)
		}
		if strategies[what.Kind] == nil {
			continue
		}
		o, err := api.Builtin.Kind(what.GroupVersionKind().GroupKind()).New("")
		if err == nil {
			err = yaml.UnmarshalStrict([]byte(text), o)
		}
		if err != nil {
			t.Fatal(err)
		}
		doc := normal(t, o)
		delete(doc, "status")
		delete(doc["metadata"].(map[string]any), "creationTimestamp")
		all = append(all, doc)
	}
	return all
}

const uid = "9d2c6d3e-0000-4000-8000-000000000000"

// outcome is what becomes of a creation: the object, or what is wrong with it as lines "Type path".
type outcome struct {
	object map[string]any
	faults []string
}

// ourOutcome and theirOutcome create an object from a document; a document that cannot be decoded has neither object nor faults.
func ourOutcome(t *testing.T, doc map[string]any) (o outcome, decoded bool) {
	t.Helper()
	k := api.Builtin.Kind(kindOf(doc))
	typed, err := k.New("")
	if err != nil || runtime.DefaultUnstructuredConverter.FromUnstructured(doc, typed) != nil {
		return o, false
	}
	i := slices.IndexFunc(rules, func(r registry.Rules) bool { return r.Kind.Is(k) })
	r := rules[i]
	if r.Default != nil {
		r.Default(typed)
	}
	typed.SetUID(uid)
	if r.Prepare != nil {
		r.Prepare(t.Context(), "", typed, nil)
	}
	return outcome{plain(t, typed), lines(r.Validate("", typed, nil))}, true
}

var rules = ours.All()

func theirOutcome(t *testing.T, doc map[string]any) (o outcome, decoded bool) {
	t.Helper()
	s := strategies[doc["kind"].(string)]
	k := api.Builtin.Kind(kindOf(doc))
	data, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	internal, _, err := legacyscheme.Codecs.UniversalDecoder().Decode(data, nil, nil)
	if err != nil {
		return o, false
	}
	meta := internal.(metav1.Object)
	meta.SetUID(uid)
	gv := k.GVK("").GroupVersion()
	ctx := genericapirequest.WithRequestInfo(genericapirequest.WithNamespace(context.Background(), meta.GetNamespace()),
		&genericapirequest.RequestInfo{APIGroup: gv.Group, APIVersion: gv.Version, Resource: k.Plural, IsResourceRequest: true, Verb: "create"})
	var faults field.ErrorList
	if refused, ok := errors.AsType[*apierrors.StatusError](rest.BeforeCreate(s, ctx, internal)); ok {
		if refused.ErrStatus.Details == nil || len(refused.ErrStatus.Details.Causes) == 0 {
			return o, false
		}
		for _, c := range refused.ErrStatus.Details.Causes {
			faults = append(faults, &field.Error{Type: field.ErrorType(c.Type), Field: c.Field})
		}
	}
	out, err := legacyscheme.Scheme.ConvertToVersion(internal, gv)
	if err != nil {
		t.Fatal(err)
	}
	legacyscheme.Scheme.Default(out)
	return outcome{plain(t, out), lines(faults)}, true
}

func kindOf(doc map[string]any) (gk schema.GroupKind) {
	group, _, found := strings.Cut(doc["apiVersion"].(string), "/")
	if !found {
		group = ""
	}
	return schema.GroupKind{Group: group, Kind: doc["kind"].(string)}
}

func lines(faults field.ErrorList) (all []string) {
	for _, f := range faults {
		line := strings.TrimPrefix(strings.ReplaceAll(string(f.Type), "FieldValue", ""), "Field") + " " + f.Field
		if !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return all
}

// plain is an object as a document, without what the registry sets around it.
func plain(t *testing.T, o any) map[string]any {
	t.Helper()
	data, err := json.Marshal(o)
	var doc map[string]any
	if err == nil {
		err = json.Unmarshal(data, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	meta := doc["metadata"].(map[string]any)
	for _, name := range []string{"creationTimestamp", "generation", "uid"} {
		delete(meta, name)
	}
	timeless(doc)
	delete(doc, "apiVersion")
	delete(doc, "kind")
	return doc
}

// timeless takes out when something happened.
func timeless(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "lastPhaseTransitionTime")
		delete(v, "lastTransitionTime")
		for _, inner := range v {
			timeless(inner)
		}
	case []any:
		for _, inner := range v {
			timeless(inner)
		}
	}
}

// differences are the paths at which two documents differ.
func differences(at string, a, b any) (all []string) {
	left, ok1 := a.(map[string]any)
	right, ok2 := b.(map[string]any)
	if !ok1 || !ok2 {
		if reflect.DeepEqual(a, b) || empty(a) && empty(b) {
			return nil
		}
		return []string{fmt.Sprintf("%s: ours %v, theirs %v", at, a, b)}
	}
	for name := range left {
		all = append(all, differences(at+"."+name, left[name], right[name])...)
	}
	for name := range right {
		if _, both := left[name]; !both {
			all = append(all, differences(at+"."+name, nil, right[name])...)
		}
	}
	slices.Sort(all)
	return all
}

func empty(v any) bool {
	if v == nil {
		return true
	}
	m, ok := v.(map[string]any)
	return ok && len(m) == 0
}

// What becomes of a valid object is the same.
func TestDefaults(t *testing.T) {
	found := map[string]bool{}
	for _, doc := range samples(t) {
		name := doc["kind"].(string)
		a, ok := ourOutcome(t, doc)
		b, too := theirOutcome(t, doc)
		if !ok || !too {
			t.Errorf("%s cannot be decoded: ours %v, theirs %v", name, ok, too)
			continue
		}
		for _, d := range differences(name, a.object, b.object) {
			found["default "+d] = true
		}
		for _, f := range a.faults {
			t.Errorf("%s: we find %s in it", name, f)
		}
		for _, f := range b.faults {
			t.Errorf("%s: they find %s in it", name, f)
		}
	}
	judge(t, "testdata/defaults.txt", found)
}

// mutants are a document with one place changed each: removed, emptied, or made nonsense.
func mutants(v any, path string, put func(any), try func(path string)) {
	change := func(what string, to any) {
		put(to)
		try(path + " " + what)
	}
	switch old := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(old)) {
			if path == "" && (name == "apiVersion" || name == "kind" || name == "status") {
				continue
			}
			inner := old[name]
			old := old
			mutants(inner, strings.TrimPrefix(path+"."+name, "."), func(x any) { old[name] = x }, try)
			delete(old, name)
			try(strings.TrimPrefix(path+"."+name, ".") + " gone")
			old[name] = inner
		}
	case []any:
		for i, inner := range old {
			mutants(inner, fmt.Sprintf("%s[%d]", path, i), func(x any) { old[i] = x }, try)
		}
		change("empty", []any{})
		if len(old) > 0 {
			change("twice", append(slices.Clone(old), old[0]))
		}
	case string:
		for _, s := range []string{"", "x", "-", "A b", "a/b", "50%", strings.Repeat("a", 300)} {
			change(fmt.Sprintf("%.5q", s), s)
		}
	case float64, int64, int:
		for _, n := range []int64{-1, 0, 1, 1 << 20} {
			change(fmt.Sprint(n), n)
		}
	case bool:
		change("other", !old)
	}
	put(v)
}

// What is wrong with a changed object is the same.
func TestFaults(t *testing.T) {
	found, tried := map[string]bool{}, 0
	for _, doc := range samples(t) {
		mutants(doc, "", func(any) {}, func(what string) {
			fresh := normal(t, doc)
			a, ok := ourOutcome(t, fresh)
			b, too := theirOutcome(t, fresh)
			if tried++; !ok || !too {
				return // whether it can be decoded is not the rules' affair
			}
			for _, f := range b.faults {
				if !slices.Contains(a.faults, f) && !strings.Contains(f, " metadata") {
					found[fmt.Sprintf("%s %s: only they find %s", doc["kind"], what, f)] = true
				}
			}
			for _, f := range a.faults {
				if !slices.Contains(b.faults, f) && !strings.Contains(f, " metadata") {
					found[fmt.Sprintf("%s %s: only we find %s", doc["kind"], what, f)] = true
				}
			}
		})
	}
	t.Logf("%d changed objects", tried)
	judge(t, "testdata/faults.txt", found)
}

// normal is an object as a document of its own.
func normal(t *testing.T, doc any) (out map[string]any) {
	t.Helper()
	data, err := json.Marshal(doc)
	if err == nil {
		err = utiljson.Unmarshal(data, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var update = os.Getenv("UPDATE") != ""

// judge compares what differs with what may.
func judge(t *testing.T, file string, found map[string]bool) {
	t.Helper()
	have := slices.Sorted(maps.Keys(found))
	if update {
		if err := os.WriteFile(file, []byte(strings.Join(have, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		allowed[strings.TrimSpace(line)] = true
	}
	for _, line := range have {
		if !allowed[line] {
			t.Errorf("not allowed: %s", line)
		}
	}
	for line := range allowed {
		if line != "" && !found[line] {
			t.Errorf("allowed, and no longer so: take it out of %s: %s", file, line)
		}
	}
	t.Logf("%d differences are allowed", len(allowed))
}
