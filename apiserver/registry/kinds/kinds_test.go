package kinds

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"optimist/apiserver/registry"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

// rulesOf are the rules that All gives for a kind.
func rulesOf(t testing.TB, o api.Object) registry.Rules {
	t.Helper()
	k := api.Builtin.Of(o)
	for _, r := range All() {
		if r.Kind.Is(k) {
			return r
		}
	}
	t.Fatalf("no rules for %T", o)
	return registry.Rules{}
}

func defaulted(t testing.TB, text string) api.Object {
	t.Helper()
	o := apitest.Object(t, text)
	if d := rulesOf(t, o).Default; d != nil {
		d(o)
	}
	return o
}

func toYAML(t testing.TB, o any) string {
	t.Helper()
	b, err := yaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// faultsOf are the faults of an object as lines "Type path", sorted.
func faultsOf(list field.ErrorList) string {
	var lines []string
	for _, e := range list {
		kind := strings.TrimPrefix(strings.ReplaceAll(string(e.Type), "FieldValue", ""), "Field")
		lines = append(lines, fmt.Sprintf("%s %s", kind, e.Field))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestEveryStoredKindHasRules(t *testing.T) {
	have := map[string]registry.Rules{}
	for _, r := range All() {
		if _, twice := have[r.Kind.String()]; twice {
			t.Errorf("%s has rules twice", r.Kind)
		}
		have[r.Kind.String()] = r
	}
	for _, k := range api.Builtin.Kept() {
		if _, ok := have[k.String()]; !ok {
			t.Errorf("%s has no rules", k)
		}
	}
}

// The headings are those that kubectl prints for each kind; behind the bar stand those of -o wide.
func TestColumnsAreKubectls(t *testing.T) {
	want := map[string]string{
		"namespaces":                        "NAME STATUS AGE |",
		"nodes":                             "NAME STATUS ROLES AGE VERSION | INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME",
		"pods":                              "NAME READY STATUS RESTARTS AGE | IP NODE NOMINATED_NODE READINESS_GATES",
		"services":                          "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE | SELECTOR",
		"configmaps":                        "NAME DATA AGE |",
		"secrets":                           "NAME TYPE DATA AGE |",
		"events":                            "LAST_SEEN TYPE REASON OBJECT MESSAGE | SUBOBJECT SOURCE FIRST_SEEN COUNT NAME",
		"deployments.apps":                  "NAME READY UP-TO-DATE AVAILABLE AGE | CONTAINERS IMAGES SELECTOR",
		"replicasets.apps":                  "NAME DESIRED CURRENT READY AGE | CONTAINERS IMAGES SELECTOR",
		"leases.coordination.k8s.io":        "NAME HOLDER AGE |",
		"endpoints":                         "NAME ENDPOINTS AGE |",
		"endpointslices.discovery.k8s.io":   "NAME ADDRESSTYPE PORTS ENDPOINTS AGE |",
		"priorityclasses.scheduling.k8s.io": "NAME VALUE GLOBAL-DEFAULT AGE PREEMPTIONPOLICY |",
		"certificatesigningrequests.certificates.k8s.io": "NAME AGE SIGNERNAME REQUESTOR REQUESTEDDURATION CONDITION |",
	}
	for _, r := range All() {
		var narrow, wide []string
		for _, c := range r.Columns {
			name := strings.ReplaceAll(strings.ToUpper(c.Name), " ", "_")
			if c.Wide {
				wide = append(wide, name)
			} else {
				narrow = append(narrow, name)
			}
		}
		got := strings.TrimSpace(strings.Join(narrow, " ") + " | " + strings.Join(wide, " "))
		if want := cmp.Or(want[r.Kind.String()], "NAME AGE |"); got != want {
			t.Errorf("%s\n got %s\nwant %s", r.Kind, got, want)
		}
	}
}
