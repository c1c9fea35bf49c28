package apitest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"optimist/internal/api"
)

// turn is one write, and who has what after it.
type turn struct {
	do   string // create, update, apply, force, ignore (what does not fit), again, or a type of patch, with a subresource: apply/status
	who  string // its manager
	body string
	want string // managers, or the error
}

// applyTurns are played on one object each.
var applyTurns = []struct {
	name  string
	turns []turn
}{
	{"fields have owners", []turn{
		{"apply", "a", mapOf("k: 1, l: 1"), "a: k l"},
		{"again", "", "", "a: k l"},
		{"apply", "b", mapOf("m: 1"), "a: k l; b: m"},
		{"apply", "b", mapOf("k: 2"), `409 Apply failed with 1 conflict: conflict with "a": .data.k`},
		{"apply", "b", mapOf("k: 2, l: 2"), "409 Apply failed with 2 conflicts: conflicts with \"a\":\n- .data.k\n- .data.l"},
		{"apply", "b", mapOf("k: 1"), "a: k l; b: k"}, // the same value: both have it, and m, which b had, is gone
		{"apply", "a", mapOf("l: 1"), "a: l; b: k"},   // so a may let go
		{"force", "b", mapOf("l: 2"), "b: l"},
		{"apply", "b", mapOf(""), "b: .data"},
	}},
	{"updates take", []turn{
		{"create", "c", mapOf("k: 1, l: 1"), "c=Update: k l"},
		{"apply", "a", mapOf("k: 2"), `409 Apply failed with 1 conflict: conflict with "c" using v1: .data.k`},
		{"force", "a", mapOf("k: 2"), "a: k; c=Update: l"},
		{"update", "d", mapOf("k: 2, l: 3"), "a: k; c=Update: .data; d=Update: l"},
		{"application/merge-patch+json", "e", `{"data":{"k":"3","m":"1"}}`, "c=Update: .data; d=Update: l; e=Update: k m"},
		{"update", "f", mapOf("l: 3"), "c=Update: .data; d=Update: l"},
		{"application/merge-patch+json", "g", `{"data":{"l":"3"}}`, "c=Update: .data; d=Update: l"},
		{"application/merge-patch+json", "g", `{"metadata":{"managedFields":[{}]}}`, ""},
		{"application/merge-patch+json", "g", `{"data":{"l":"4"}}`, ""},
		{"apply", "a", mapOf("m: 1"), "a: m; before-first-apply=Update: l"},
		{"application/merge-patch+json", "g", `{"metadata":{"managedFields":[]}}`, ""},
		{"application/merge-patch+json", "g", entry("Update", "v0"), ""}, // a version that is gone
		{"application/merge-patch+json", "g", entry("Apply", "v1"), "old: k"},
		{"application/merge-patch+json", "g", entry("Bogus", "v1"), "old: k"},
		{"apply", "old", mapOf("m: 1"), "old: m"},
	}},
	{"who has no name is untracked until the first apply", []turn{
		{"create", "", mapOf("k: 1, l: 1"), ""},
		{"update", "c", mapOf("k: 1, l: 2"), ""},
		{"apply", "a", mapOf("k: 1"), "a: k; before-first-apply=Update: k l"},
		{"application/merge-patch+json", "", `{"data":{"k":"2"}}`, "before-first-apply=Update: l; USER=Update: k"},
		{"apply", "a", mapOf("k: 1"), `409 conflict with "USER" using v1: .data.k`},
		{"apply", "a", mapOf("l: 2"), "a: l; before-first-apply=Update: l; USER=Update: k"},
	}},
	{"lists are merged by their keys", []turn{
		{"apply", "a", podOf("{name: c, image: i, env: [{name: X, value: '1'}]}"), `a: spec.containers[name="c"].env[name="X"].value spec.containers[name="c"].image`},
		{"apply", "b", podOf("{name: c, env: [{name: Z, value: '1'}]}"), `a: spec.containers[name="c"].env[name="X"].value spec.containers[name="c"].image; b: spec.containers[name="c"].env[name="Z"].value`},
		{"apply", "b", podOf("{name: c, env: [{name: X, value: '2'}]}"), `409 conflict with "a": .spec.template.spec.containers[name="c"].env[name="X"].value`},
		{"apply", "b", podOf("{name: c, env: [{name: X, value: '1'}, {name: X, value: '2'}]}"), "400 duplicate entries for key"},
		{"apply", "b", deploymentOf("replicas: 3"), `a: spec.containers[name="c"].env[name="X"].value spec.containers[name="c"].image; b: .spec.replicas`},
	}},
	{"the scaler and the author", []turn{
		{"apply", "author", deploymentOf("replicas: 1, " + podSpec), "author: .spec.replicas spec.containers[name=\"c\"].image"},
		{"application/merge-patch+json/scale", "hpa", `{"spec":{"replicas":5}}`, "author: spec.containers[name=\"c\"].image; hpa=Update/scale: .spec.replicas"},
		{"apply", "author", deploymentOf("replicas: 1, " + podSpec), `409 conflict with "hpa" with subresource "scale" using apps/v1: .spec.replicas`},
		{"apply", "author", deploymentOf(podSpec), "author: spec.containers[name=\"c\"].image; hpa=Update/scale: .spec.replicas"},
		{"apply/scale", "b", "apiVersion: autoscaling/v1\nkind: Scale\nmetadata: {name: a, namespace: default}\nspec: {replicas: 2}", `409 conflict with "hpa" with subresource "scale" using apps/v1: .spec.replicas`},
		{"force/scale", "b", "apiVersion: autoscaling/v1\nkind: Scale\nmetadata: {name: a, namespace: default}\nspec: {replicas: 2}", "author: spec.containers[name=\"c\"].image; b/scale: .spec.replicas"},
		{"apply/status", "s", deploymentOf("replicas: 7") + "\nstatus: {replicas: 2}", "author: spec.containers[name=\"c\"].image; b/scale: .spec.replicas; s/status: .status.replicas"},
		{"apply", "author", deploymentOf(podSpec) + "\nstatus: {replicas: 9}", "author: spec.containers[name=\"c\"].image; b/scale: .spec.replicas; s/status: .status.replicas"},
	}},
	{"what is refused", []turn{
		{"apply", "", mapOf("k: 1"), `422 PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch`},
		{"apply", "a\n", mapOf("k: 1"), "422 fieldManager: Invalid value"},
		{"force", "a", strings.Replace(mapOf("k: 1"), "name: a", "labels: {}", 1), "400 the name of the object (a based on URL) was undeterminable: name must be provided"},
		{"apply", "a", strings.Replace(mapOf("k: 1"), "name: a", "name: b", 1), "400 the name of the object (b) does not match the name on the URL (a)"},
		{"apply", "a", strings.Replace(mapOf("k: 1"), "name: a", "name: a, uid: u", 1), "409 uid mismatch: the provided object specified uid u, and no existing object was found"},
		{"apply", "a", strings.Replace(mapOf("k: 1"), "name: a", "name: a, managedFields: []", 1), "400 metadata.managedFields must be nil"},
		{"apply", "a", mapOf("k: 1") + "\ndate: {}", `400 unknown field "date"`},
		{"ignore", "a", mapOf("k: 1") + "\ndate: {}", "400 .date: field not declared in schema"},
		{"ignore", "a", mapOf("k: 1, k: 2"), "a: k"},
		{"apply", "a", mapOf("k: 1, k: 1"), "400 already set"},
		{"apply", "a", "data: {}", "400 an apply must say its apiVersion and kind: v1, ConfigMap"},
		{"apply", "a", "[]", "400 error decoding patch"},
		{"apply", "a", "apiVersion: v1\nkind: Secret", "400 the kind in the data (Secret) does not match the expected kind (ConfigMap)"},
		{"apply/nonsense", "a", mapOf("k: 1"), "404 "},
		{"apply", "a", mapOf("k: 1"), "a: k"},
		{"apply", "a", strings.Replace(mapOf("k: 2"), "name: a", "name: a, resourceVersion: '1'", 1), "409 the object has been modified"},
	}},
}

func mapOf(data string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndata: {" + strings.NewReplacer(": 1", ": '1'", ": 2", ": '2'", ": 3", ": '3'").Replace(data) + "}"
}

func entry(operation, version string) string {
	return `{"metadata":{"managedFields":[{"manager":"old","operation":"` + operation + `","apiVersion":"` + version + `","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:k":{}}}}]}}`
}

const podSpec = "selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: i}]}}"

func deploymentOf(spec string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: default}\nspec: {" + spec + "}"
}

func podOf(container string) string {
	return deploymentOf(strings.Replace(podSpec, "{name: c, image: i}", container, 1))
}

func apply(s *suite) {
	for _, row := range applyTurns {
		kind := api.ConfigMapKind
		if strings.Contains(row.turns[0].body, "Deployment") {
			kind = api.DeploymentKind
		}
		at := api.Target{Kind: kind, Key: api.Key{Namespace: "default", Name: "a"}}
		for n, turn := range row.turns {
			again := turn.do == "again"
			if again {
				turn = row.turns[n-1]
			}
			got := s.play(at, turn, again)
			if turn.who == "" && strings.HasSuffix(got, "=Update: k l") { // this door gives a name to everybody
				break
			}
			if got = user.ReplaceAllString(got, "USER$1"); got != turn.want && (turn.want == "" || got[:4] != turn.want[:4] || !strings.Contains(got, turn.want[4:])) {
				s.Errorf("%s: after turn %d, %s by %q, it is\n%s\nwant\n%s", row.name, n, turn.do, turn.who, got, turn.want)
			}
		}
		if _, err := s.Write(s.ctx, api.Request{Target: at, Verb: api.VerbDelete}); err != nil {
			s.Fatal(err)
		}
	}
}

// Many who apply what is not there yet: one of them creates it, and nobody's fields are lost.
func applyConcurrently(s *suite) {
	at := api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: "default", Name: "a"}}
	var all sync.WaitGroup
	var created atomic.Int32
	for n := range 8 {
		all.Go(func() {
			res, err := s.Write(s.ctx, api.Request{Target: at, Verb: api.VerbPatch, Options: api.Options{Manager: fmt.Sprint("m", n)},
				Patch: &api.Patch{Type: types.ApplyYAMLPatchType, Data: []byte(mapOf(fmt.Sprintf("k%d: 1", n)))}})
			if err != nil {
				s.Error(err)
			} else if res.Created {
				created.Add(1)
			}
		})
	}
	all.Wait()
	s.equal("how many have created it", created.Load(), int32(1))
	s.equal("number of keys", len(s.get(Object(s, mapOf(""))).(*corev1.ConfigMap).Data), 8)
}

func (s *suite) play(at api.Target, t turn, again bool) string {
	s.Helper()
	what, sub, _ := strings.Cut(strings.Replace(t.do, "application/", "", 1), "/")
	r := api.Request{Target: at, Verb: api.VerbPatch, Options: api.Options{Manager: t.who, Force: what == "force"}}
	if r.Sub = sub; what == "ignore" {
		r.Validation = api.Ignore
	}
	switch what {
	case "create", "update":
		r.Verb, r.Raw = api.Verb(what), &api.Raw{MediaType: "application/yaml", Data: []byte(t.body)}
	case "apply", "force", "ignore":
		r.Patch = &api.Patch{Type: types.ApplyYAMLPatchType, Data: []byte(t.body)}
	default:
		r.Patch = &api.Patch{Type: types.PatchType("application/" + what), Data: []byte(t.body)}
	}
	before, missing := s.Get(s.ctx, at, api.GetOptions{})
	res, err := s.Write(s.ctx, r)
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return fmt.Sprintf("%d %v", status.Status().Code, err)
	}
	after, lost := s.Get(s.ctx, at, api.GetOptions{})
	if err := cmp.Or(err, lost); err != nil {
		s.Fatal(err)
	}
	s.equal("created", res.Created, apierrors.IsNotFound(missing) && r.Patch != nil)
	if again {
		s.equal("the revision after an apply that changes nothing", after.Revision, before.Revision)
	}
	return owners(s, after.Object)
}

// user is whoever the service takes the suite's author for.
var user = regexp.MustCompile(`(?:unknown|kubernetes-admin)(=Update|" using)`)

// owners is an object's managedFields, as the table above writes them: an Apply is nothing special.
func owners(s *suite, o api.Object) string {
	var all []string
	for _, e := range o.GetManagedFields() {
		var set fieldpath.Set
		if err := set.FromJSON(bytes.NewReader(e.FieldsV1.GetRawBytes())); err != nil {
			s.Fatal(err)
		}
		who := e.Manager
		if e.Operation != metav1.ManagedFieldsOperationApply {
			who += "=" + string(e.Operation)
		}
		if e.Subresource != "" {
			who += "/" + e.Subresource
		}
		var paths []string
		set.Leaves().Iterate(func(p fieldpath.Path) {
			text := strings.TrimPrefix(strings.TrimPrefix(p.String(), ".data."), ".spec.template.")
			if !strings.HasSuffix(text, ".name") && !strings.Contains(text, "abels") && text != ".spec.selector" {
				paths = append(paths, text)
			}
		})
		slices.Sort(paths)
		all = append(all, who+": "+strings.Join(paths, " "))
	}
	slices.Sort(all) // they stand in the order of their times, to the second
	return strings.Join(all, "; ")
}
