package garbage

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

// object makes a Pod's metadata out of words: owners are "owner" or "owner!" (which it blocks), "ending" is being deleted, "+f" a finalizer.
func object(text string) api.Object {
	words := strings.Fields(text)
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: words[0], UID: types.UID(words[0]), ResourceVersion: "7"}}
	m.SetGroupVersionKind(api.PodKind.GVK(""))
	for _, w := range words[1:] {
		switch {
		case w == "ending":
			m.DeletionTimestamp = &metav1.Time{Time: time.Unix(1000, 0)}
		case w[0] == '+':
			m.Finalizers = append(m.Finalizers, w[1:])
		default:
			name, blocks := strings.CutSuffix(w, "!")
			m.OwnerReferences = append(m.OwnerReferences, metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: name, UID: types.UID(name), BlockOwnerDeletion: &blocks})
		}
	}
	return m
}

func words(steps []reconcile.Action) string {
	var all []string
	for _, a := range steps {
		switch a.Verb {
		case api.VerbDelete:
			all = append(all, fmt.Sprintf("delete %s (%s)", a.Key.Name, a.Propagation))
		case api.VerbPatch:
			all = append(all, fmt.Sprintf("patch %s %s", a.Key.Name, a.Patch.Data))
		}
	}
	return strings.Join(all, "; ")
}

func TestPlan(t *testing.T) {
	for _, row := range []struct {
		name       string
		object     string
		owners     map[types.UID]owner
		dependents []string
		want       string
	}{
		{"what has no owner stays", "a", nil, nil, ""},
		{"what has its owner stays", "a x", map[types.UID]owner{"x": present}, nil, ""},
		{"what has an owner of whom nobody knows stays", "a x", map[types.UID]owner{"x": unknown}, nil, ""},
		{"what has lost its only owner goes", "a x", map[types.UID]owner{"x": absent}, nil, "delete a (Background)"},
		{"it goes in the way that its finalizers ask for", "a x +orphan", map[types.UID]owner{"x": absent}, nil, "delete a (Orphan)"},
		{"what has lost one of two owners forgets it", "a x y", map[types.UID]owner{"x": absent, "y": present}, nil,
			`patch a {"metadata":{"ownerReferences":[{"$patch":"delete","uid":"x"}]}}`},
		{"what has lost both goes", "a x y", map[types.UID]owner{"x": absent, "y": absent}, nil, "delete a (Background)"},
		{"what its owner waits for goes", "a x!", map[types.UID]owner{"x": waiting}, nil, "delete a (Background)"},
		{"and makes its own dependents go first", "a x!", map[types.UID]owner{"x": waiting}, []string{"b a!"}, "delete a (Foreground)"},
		{"unless another owner keeps it", "a x! y", map[types.UID]owner{"x": waiting, "y": present}, nil,
			`patch a {"metadata":{"ownerReferences":[{"$patch":"delete","uid":"x"}]}}`},
		{"what is going anyway is left alone", "a x ending", map[types.UID]owner{"x": absent}, nil, ""},
		{"foreground: it waits for those that block it", "a ending +foregroundDeletion", nil, []string{"b a!"}, ""},
		{"foreground: it does not wait for the others", "a ending +foregroundDeletion", nil, []string{"b a"},
			`patch a {"metadata":{"$deleteFromPrimitiveList/finalizers":["foregroundDeletion"]}}`},
		{"orphan: its dependents forget it, then it goes", "a ending +orphan", nil, []string{"b a!"},
			`patch b {"metadata":{"ownerReferences":[{"$patch":"delete","uid":"a"}]}}; patch a {"metadata":{"$deleteFromPrimitiveList/finalizers":["orphan"]}}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := view{kind: api.PodKind, object: object(row.object), owners: row.owners}
			for _, text := range row.dependents {
				v.dependents = append(v.dependents, dependent{api.PodKind, object(text)})
			}
			steps, _ := plan(v, time.Unix(1000, 0))
			if got := words(steps); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
			for _, a := range steps {
				if a.Pre.UID == "" || a.Verb == api.VerbDelete && a.Pre.Revision == 0 {
					t.Errorf("%s has no precondition", a)
				}
			}
		})
	}
}
