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
		"persistentvolumes":                             "NAME CAPACITY ACCESS_MODES RECLAIM_POLICY STATUS CLAIM STORAGECLASS VOLUMEATTRIBUTESCLASS REASON AGE | VOLUMEMODE",
		"persistentvolumeclaims":                        "NAME STATUS VOLUME CAPACITY ACCESS_MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE | VOLUMEMODE",
		"resourcequotas":                                "NAME REQUEST LIMIT AGE |",
		"limitranges":                                   "NAME CREATED_AT |",
		"podtemplates":                                  "NAME CONTAINERS IMAGES POD_LABELS |",
		"replicationcontrollers":                        "NAME DESIRED CURRENT READY AGE | CONTAINERS IMAGES SELECTOR",
		"statefulsets.apps":                             "NAME READY AGE | CONTAINERS IMAGES",
		"daemonsets.apps":                               "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE_SELECTOR AGE | CONTAINERS IMAGES SELECTOR",
		"controllerrevisions.apps":                      "NAME CONTROLLER REVISION AGE |",
		"jobs.batch":                                    "NAME STATUS COMPLETIONS DURATION AGE | CONTAINERS IMAGES SELECTOR",
		"cronjobs.batch":                                "NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST_SCHEDULE AGE | CONTAINERS IMAGES SELECTOR",
		"horizontalpodautoscalers.autoscaling":          "NAME REFERENCE TARGETS MINPODS MAXPODS REPLICAS AGE |",
		"clustertrustbundles.certificates.k8s.io":       "NAME SIGNERNAME |",
		"podcertificaterequests.certificates.k8s.io":    "NAME PODNAME SERVICEACCOUNTNAME NODENAME SIGNERNAME STATE | UNVERIFIEDUSERANNOTATIONS",
		"ingresses.networking.k8s.io":                   "NAME CLASS HOSTS ADDRESS PORTS AGE |",
		"ingressclasses.networking.k8s.io":              "NAME CONTROLLER PARAMETERS AGE |",
		"networkpolicies.networking.k8s.io":             "NAME POD-SELECTOR AGE |",
		"ipaddresses.networking.k8s.io":                 "NAME PARENTREF AGE |",
		"servicecidrs.networking.k8s.io":                "NAME CIDRS AGE |",
		"runtimeclasses.node.k8s.io":                    "NAME HANDLER AGE |",
		"poddisruptionbudgets.policy":                   "NAME MIN_AVAILABLE MAX_UNAVAILABLE ALLOWED_DISRUPTIONS AGE |",
		"roles.rbac.authorization.k8s.io":               "NAME CREATED_AT |",
		"clusterroles.rbac.authorization.k8s.io":        "NAME CREATED_AT |",
		"rolebindings.rbac.authorization.k8s.io":        "NAME ROLE AGE | USERS GROUPS SERVICEACCOUNTS",
		"clusterrolebindings.rbac.authorization.k8s.io": "NAME ROLE AGE | USERS GROUPS SERVICEACCOUNTS",
		"storageclasses.storage.k8s.io":                 "NAME PROVISIONER RECLAIMPOLICY VOLUMEBINDINGMODE ALLOWVOLUMEEXPANSION AGE |",
		"csidrivers.storage.k8s.io":                     "NAME ATTACHREQUIRED PODINFOONMOUNT STORAGECAPACITY TOKENREQUESTS REQUIRESREPUBLISH MODES AGE |",
		"csinodes.storage.k8s.io":                       "NAME DRIVERS AGE |",
		"csistoragecapacities.storage.k8s.io":           "NAME STORAGECLASSNAME CAPACITY |",
		"volumeattachments.storage.k8s.io":              "NAME ATTACHER PV NODE ATTACHED AGE |",
		"volumeattributesclasses.storage.k8s.io":        "NAME DRIVERNAME AGE |",
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
