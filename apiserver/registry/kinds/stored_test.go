package kinds

import (
	_ "embed"
	"slices"
	"strings"
	"testing"

	"optimist/internal/api"
)

//go:embed testdata/stored.yaml
var samples string

// begun is an object as the registry would store it first.
func begun(t *testing.T, text string) api.Object {
	t.Helper()
	o := defaulted(t, text)
	if p := rulesOf(t, o).Prepare; p != nil {
		p(t.Context(), "", o, nil)
	}
	return o
}

func TestSamplesAreValid(t *testing.T) {
	for text := range strings.SplitSeq(samples, "\n---\n") {
		o := begun(t, text)
		if got := faultsOf(rulesOf(t, o).Validate("", o, nil)); got != "" {
			t.Errorf("%T: %s", o, got)
		}
		if got := faultsOf(rulesOf(t, o).Validate("", o, o)); got != "" {
			t.Errorf("%T as it is: %s", o, got)
		}
		row(t, text)
	}
}

// Each row: an object, something that is exchanged in it, and what is then wrong with a new one and with an old one that is changed so.
func TestStoredFaults(t *testing.T) {
	for _, c := range []struct{ name, kind, from, to, fresh, changed string }{
		{"a Job's pods end", "Job", "restartPolicy: Never", "restartPolicy: Always", "Required spec.template.spec.restartPolicy", "Invalid spec.template\nRequired spec.template.spec.restartPolicy"},
		{"what counts by index needs indexes", "Job", "completionMode: Indexed", "completionMode: NonIndexed", "Invalid spec.backoffLimitPerIndex\nInvalid spec.maxFailedIndexes",
			"Invalid spec.backoffLimitPerIndex\nInvalid spec.completionMode\nInvalid spec.maxFailedIndexes"},
		{"an indexed Job grows as a whole only", "Job", "completions: 3", "completions: 4", "", "Invalid spec.completions"},
		{"exit codes are ordered and not 0", "Job", "values: [1, 2]", "values: [1, 0]", "Invalid spec.podFailurePolicy.rules[0].onExitCodes.values\nInvalid spec.podFailurePolicy.rules[0].onExitCodes.values[1]",
			"Invalid spec.podFailurePolicy\nInvalid spec.podFailurePolicy.rules[0].onExitCodes.values\nInvalid spec.podFailurePolicy.rules[0].onExitCodes.values[1]"},
		{"five fields", "CronJob", `"*/5 1-3,7 * jan-mar mon"`, `"* * * *"`, "Invalid spec.schedule", "Invalid spec.schedule"},
		{"days end at 31", "CronJob", "1-3,7 *", "1-3,7 32", "Invalid spec.schedule", "Invalid spec.schedule"},
		{"a range goes upward", "CronJob", "1-3,7", "3-1,7", "Invalid spec.schedule", "Invalid spec.schedule"},
		{"a word", "CronJob", `"*/5 1-3,7 * jan-mar mon"`, `"@every 5m"`, "", ""},
		{"another word", "CronJob", `"*/5 1-3,7 * jan-mar mon"`, `"@often"`, "Invalid spec.schedule", "Invalid spec.schedule"},
		{"a zone that exists", "CronJob", "Etc/UTC", "Etc/Atlantis", "Invalid spec.timeZone", "Invalid spec.timeZone"},
		{"claims are mounted by their names", "StatefulSet", "{metadata: {name: data}", "{metadata: {name: other}", "NotFound spec.template.spec.containers[0].volumeMounts[0].name",
			"Invalid spec.volumeClaimTemplates\nNotFound spec.template.spec.containers[0].volumeMounts[0].name"},
		{"a claim needs a size", "PersistentVolumeClaim", "storage: 1Gi", "storage: 0", "Invalid spec.resources[storage]", "Forbidden spec\nInvalid spec.resources[storage]\nForbidden spec.resources.requests.storage"},
		{"a volume is of one sort", "PersistentVolume", "hostPath: {path: /data}", "nfs: {server: s, path: /}, hostPath: {path: /data}", "Forbidden spec.nfs", "Forbidden spec.nfs\nForbidden spec.persistentvolumesource"},
		{"paths have a type", "Ingress", "pathType: Prefix, ", "", "Required spec.rules[0].http.paths[0].pathType", "Required spec.rules[0].http.paths[0].pathType"},
		{"selectors stay", "DaemonSet", "matchLabels: {a: b}", "matchLabels: {a: c}", "Invalid spec.template.metadata.labels", "Invalid spec.selector\nInvalid spec.template.metadata.labels"},
		{"one of two", "PodDisruptionBudget", "minAvailable: 50%", "minAvailable: 101%, maxUnavailable: 1", "Invalid spec\nInvalid spec.minAvailable", "Invalid spec\nInvalid spec.minAvailable"},
		{"URLs are the cluster's", "Role", "resourceNames: [p]", "nonResourceURLs: [/x]", "Invalid rules[0].nonResourceURLs\nInvalid rules[0].nonResourceURLs", "Invalid rules[0].nonResourceURLs\nInvalid rules[0].nonResourceURLs"},
		{"what is granted stays", "RoleBinding", "kind: Role, name: \"a:b\"", "kind: ClusterRole, name: r", "", "Invalid roleRef"},
		{"a class stays", "StorageClass", "parameters: {a: b}", "reclaimPolicy: Recycle", "NotSupported reclaimPolicy", "Invalid parameters\nInvalid reclaimPolicy\nNotSupported reclaimPolicy"},
		{"a metric has the source that it names", "HorizontalPodAutoscaler", "type: Pods, pods", "type: Object, pods", "Forbidden spec.metrics[2].pods\nRequired spec.metrics[2].object", "Forbidden spec.metrics[2].pods\nRequired spec.metrics[2].object"},
		{"least before most", "LimitRange", "max: {cpu: 1}", "max: {cpu: 1m}", "Invalid spec.limits[0].defaultRequest[cpu]\nInvalid spec.limits[0].default[cpu]\nInvalid spec.limits[0].min[cpu]", "Invalid spec.limits[0].defaultRequest[cpu]\nInvalid spec.limits[0].default[cpu]\nInvalid spec.limits[0].min[cpu]"},
		{"scopes stay", "ResourceQuota", "[NotBestEffort]", "[BestEffort, NotBestEffort]", "Invalid spec.scopes", "Invalid spec.scopes\nInvalid spec.scopes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, text, found := strings.Cut("\n---\n"+samples, "kind: "+c.kind+"\n")
			head := "apiVersion: " + api.Builtin.Find(c.kind).GVK("").GroupVersion().String() + "\nkind: " + c.kind + "\n"
			if !found {
				_, text, _ = strings.Cut(samples, "kind: "+c.kind+", ")
				head = strings.ReplaceAll(strings.TrimSpace("{"+head), "\n", ", ") + ", "
			}
			text, _, _ = strings.Cut(text, "\n---\n")
			if !strings.Contains(text, c.from) {
				t.Fatalf("no %q in %s", c.from, text)
			}
			old, now := begun(t, head+text), begun(t, head+strings.ReplaceAll(text, c.from, c.to))
			check := rulesOf(t, now).Validate
			if got := faultsOf(check("", now, nil)); got != c.fresh {
				t.Errorf("a new one\n got %s\nwant %s", got, c.fresh)
			}
			if got := faultsOf(check("", now, old)); got != sorted(c.changed) {
				t.Errorf("a changed one\n got %s\nwant %s", got, c.changed)
			}
		})
	}
}

func TestDaemonSetsCountTheirTemplates(t *testing.T) {
	const set = "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d}, spec: {template: {spec: {containers: [{name: c, image: i}]}}}}"
	const name = "deprecated.daemonset.template.generation"
	old := begun(t, set)
	next := defaulted(t, strings.ReplaceAll(set, "image: i", "image: j"))
	rulesOf(t, old).Prepare(t.Context(), "", next, old)
	if old.GetAnnotations()[name] != "1" || next.GetAnnotations()[name] != "2" {
		t.Errorf("%v, then %v", old.GetAnnotations(), next.GetAnnotations())
	}
}

func sorted(lines string) string {
	all := strings.Split(lines, "\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}
