package namespace

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/api/apitest"
	"optimist/internal/reconcile"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// left is what is in the namespace: "pod", "pod ending", "configmap ending held".
func left(t *testing.T, texts []string) (all []content) {
	for _, text := range texts {
		words := strings.Fields(text)
		k := api.Builtin.Find(words[0])
		o, err := k.New("")
		if err != nil {
			t.Fatal(err)
		}
		o.SetNamespace("shop")
		for _, w := range words[1:] {
			switch w {
			case "ending":
				o.SetDeletionTimestamp(&metav1.Time{Time: now})
			case "held":
				o.SetFinalizers([]string{"example.com/hold"})
			}
		}
		all = append(all, content{k, []api.Object{o}})
	}
	return all
}

func words(steps []reconcile.Action) string {
	var all []string
	for _, a := range steps {
		word := string(a.Verb) + " " + a.Kind.Plural
		if a.Sub != "" {
			word += "/" + a.Sub
		}
		all = append(all, word)
	}
	return strings.Join(all, ", ")
}

func TestPlan(t *testing.T) {
	for _, row := range []struct {
		name    string
		content []string
		want    string
	}{
		{"pods go first", []string{"pod", "configmap", "service"}, "deletecollection pods"},
		{"all else waits until the last has ended", []string{"pod ending", "configmap"}, ""},
		{"then the rest goes, kind by kind", []string{"configmap", "service"}, "deletecollection configmaps, deletecollection services"},
		{"what has been told to go is not told again", []string{"configmap ending held", "service"}, "deletecollection services"},
		{"what is held keeps the namespace", []string{"configmap ending held"}, ""},
		{"an empty namespace goes", nil, "deletecollection events, update namespaces/finalize"},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := view{namespace: apitest.As[*corev1.Namespace](t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\nspec: {finalizers: [kubernetes]}"), content: left(t, row.content)}
			steps, _ := plan(v, now)
			if words(steps) != "update namespaces/status" {
				t.Fatal("at first it should say what remains, but the plan is", words(steps))
			}
			v.namespace = steps[0].Body.(*corev1.Namespace)
			steps, _ = plan(v, now)
			if got := words(steps); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}

func TestConditionsKeepTheirTimeWhileTheirStatusStays(t *testing.T) {
	v := view{namespace: &corev1.Namespace{}, content: left(t, []string{"configmap", "pod"})}
	first := report(v, now)[0].Body.(*corev1.Namespace)
	v.namespace, v.content = first, v.content[:1]
	second := report(v, now.Add(time.Hour))[0].Body.(*corev1.Namespace)
	for i, c := range second.Status.Conditions {
		if !c.LastTransitionTime.Equal(&first.Status.Conditions[i].LastTransitionTime) {
			t.Error(c.Type, "changed its time though not its status")
		}
	}
	v.namespace, v.content = second, nil
	for _, c := range report(v, now.Add(2*time.Hour))[0].Body.(*corev1.Namespace).Status.Conditions {
		if c.Type == corev1.NamespaceContentRemaining && (c.Status != corev1.ConditionFalse || !c.LastTransitionTime.Equal(&metav1.Time{Time: now.Add(2 * time.Hour)})) {
			t.Errorf("%+v", c)
		}
	}
}
