package why

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// facts reads objects, separated by ---, and beside them what was learnt otherwise: a document without a kind.
func facts(t *testing.T, text string) *Facts {
	t.Helper()
	f := &Facts{Now: now, Home: "default", Start: "start"}
	for part := range strings.SplitSeq(text, "\n---\n") {
		if strings.Contains(part, "apiVersion:") {
			f.Objects = append(f.Objects, apitest.Object(t, part))
		} else if err := yaml.UnmarshalStrict([]byte(part), f); err != nil {
			t.Fatalf("%v in\n%s", err, part)
		}
	}
	return f
}

const (
	node = `
---
{apiVersion: v1, kind: Node, metadata: {name: n1, uid: n1}, status: {conditions: [{type: Ready, status: "True"}]}}
---
{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: n1, namespace: kube-node-lease}, spec: {renewTime: "2026-01-01T11:59:55.000000Z"}}`
	family = node + `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default, uid: d, generation: 2}
spec: {replicas: 1, progressDeadlineSeconds: 60, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: "web:2"}]}}}
status: {observedGeneration: 2, replicas: 1, updatedReplicas: 1}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-2, namespace: default, uid: s2, annotations: {deployment.kubernetes.io/revision: "2"},
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, controller: true}]}
spec: {replicas: 1, template: {metadata: {labels: {app: web, pod-template-hash: "2"}}, spec: {containers: [{name: c, image: "web:2"}]}}}
status: {replicas: 1}`
	older = `
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-1, namespace: default, uid: s1, annotations: {deployment.kubernetes.io/revision: "1"},
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, controller: true}]}
spec: {replicas: 0, template: {metadata: {labels: {app: web, pod-template-hash: "1"}}, spec: {containers: [{name: c, image: "web:1"}]}}}`
)

// pod is a pod on n1 with a container c; owned says whose it is.
func pod(more, status string) string {
	return "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default, uid: p" + more + "spec: {nodeName: n1, schedulerName: default-scheduler, restartPolicy: Always, containers: [{name: c, image: \"web:2\"}]}, status: " + status + "}"
}

const (
	bare  = "}, "
	owned = ", ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-2, uid: s2, controller: true}]}, "
)

func waits(reason, message string) string {
	return `{phase: Pending, containerStatuses: [{name: c, state: {waiting: {reason: ` + reason + `, message: '` + message + `'}}}]}`
}

// unmountable is a pod with a volume v, of which its agent complains.
func unmountable(configMap, message string) string {
	return strings.Replace(pod(bare, waits("ContainerCreating", "")), "containers:", "volumes: [{name: v, configMap: "+configMap+"}], containers:", 1) + `
---
{apiVersion: v1, kind: Event, metadata: {name: e, namespace: default}, type: Warning, reason: FailedMount, involvedObject: {kind: Pod, namespace: default, name: p, uid: p},
 lastTimestamp: "2026-01-01T11:59:50Z", message: 'MountVolume.SetUp failed for volume "v" : ` + message + `'}`
}

func died(code, more string) string {
	return `{phase: Running, containerStatuses: [{name: c, restartCount: 4, state: {waiting: {reason: CrashLoopBackOff, message: back-off}}, lastState: {terminated: {exitCode: ` + code + more + `}}}]}`
}

func TestDiagnose(t *testing.T) {
	for _, c := range []struct {
		sentence string
		about    string
		facts    string
		cause    string // its name; "" = none
		says     string // the sentence (or, without a cause, the state) has this
		try      string // the first command
	}{
		{"a pod that runs is well", "pod/p", pod(bare, `{phase: Running, conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: c, ready: true, state: {running: {}}}]}`) + node,
			"", "is well: 1 of 1 container ready on node n1", ""},
		{"of a kind that nothing acts on it says that", "job/j", `{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: default}}`, "", "is stored, but nothing in this version acts on it", ""},
		{"so is one that was started again once", "pod/p", pod(bare, `{phase: Running, conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: c, ready: true, restartCount: 1,
			state: {running: {startedAt: "2026-01-01T11:59:59Z"}}, lastState: {terminated: {exitCode: 1}}}]}`) + node, "", "is well", ""},
		{"but one that was so again and again, just now, is not", "pod/p", pod(bare, `{phase: Running, conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: c, ready: true, restartCount: 2,
			state: {running: {startedAt: "2026-01-01T11:59:59Z"}}, lastState: {terminated: {exitCode: 1}}}]}`) + node, "crash", "exit code 1 (restarted 2 times)", "logs pod/p -c c --previous"},
		{"one whose image is on its way has no cause yet", "pod/p", pod(bare, `{phase: Pending, containerStatuses: [{name: c, state: {waiting: {reason: ContainerCreating}}}]}`) + node,
			"", "is on its way: ContainerCreating on node n1", ""},

		{"an image that is not there is taken back", "deployment/web", pod(owned, waits("ImagePullBackOff", "pull web:2: image not found in the registry")) + family + older,
			"image not found", "image web:2, which container c of pod/p wants, is not in its registry", "rollout undo deployment/web"},
		{"without an older revision, an image of almost that name is proposed", "pod/p", pod(owned, waits("ErrImagePull", "pull web:2: image not found")) + family + "\n---\nImages: [docker.io/library/web:1, other]",
			"image not found", "", "set image deployment/web c=web:1"},
		{"in a bare pod the image can be changed where it stands", "pod/p", pod(bare, waits("ErrImagePull", "pull web:2: image not found")) + node + "\n---\nImages: [web:1]",
			"image not found", "", "set image pod/p c=web:1"},
		{"a login that exists, but is not named", "deployment/web", pod(owned, waits("ErrImagePull", "the registry refused the login")) + family + `
---
{apiVersion: v1, kind: Secret, metadata: {name: key, namespace: default}, type: kubernetes.io/dockerconfigjson, stringData: {}, data: {.dockerconfigjson: eyJhdXRocyI6eyJ3ZWI6MiI6e319fQ==}}`,
			"image needs login", "only with a login", `patch deployment/web --type=json -p '[{"op":"add","path":"/spec/template/spec/imagePullSecrets","value":[{"name":"key"}]}]'`},
		{"any other failure of a pull", "pod/p", pod(bare, waits("ImagePullBackOff", "connection refused")) + node, "image cannot be pulled", "node n1 cannot pull image web:2", ""},
		{"no name of an image", "pod/p", pod(bare, waits("InvalidImageName", "no")) + node, "image name", `the image "web:2", which is no name of an image`, ""},
		{"an image that must not be pulled", "pod/p", pod(bare, waits("ErrImageNeverPull", "no")) + node + "\n---\nImages: [web:3]", "image never pulled", "may not pull", "set image pod/p c=web:3"},
		{"a ConfigMap that does not exist", "pod/p", pod(bare, waits("CreateContainerConfigError", `configmap "cfg" not found`)) + node, "configuration missing", "configmap cfg, which does not exist", `echo '{"apiVersion":"v1","data":{},"kind":"ConfigMap","metadata":{"name":"cfg"}}' | apply -f -`},
		{"a key that a Secret lacks", "pod/p", pod(bare, waits("CreateContainerConfigError", `couldn''t find key k in Secret default/s`)) + node,
			"configuration missing", "key k of secret s, which has no such key", `patch secret/s --type=merge -p '{"stringData":{"k":"VALUE"}}'`},
		{"a ConfigMap that a volume wants", "pod/p", unmountable("{name: cfg, items: [{key: k, path: p}]}", `configmap "cfg" not found`) + node, "volume not mounted", `waits for its volume v: configmap "cfg" not found`,
			`echo '{"apiVersion":"v1","data":{"k":"VALUE"},"kind":"ConfigMap","metadata":{"name":"cfg"}}' | apply -f -`},
		{"a key that a volume wants", "pod/p", unmountable("{name: cfg, items: [{key: k, path: p}]}", `references non-existent config key: k`) + node, "volume not mounted", "key: k", `patch configmap/cfg --type=merge -p '{"data":{"k":"VALUE"}}'`},
		{"a volume that nobody can make", "pod/p", unmountable("{name: cfg}", "no such disk") + node, "volume not mounted", "no such disk", "describe pod/p"},
		{"a program that the image does not have", "deployment/web", pod(owned, died("127", `, reason: StartError, message: no such file`)) + family + older, "command cannot run", "cannot run what image web:2 says", "rollout undo deployment/web"},
		{"exit codes that mean something say so", "pod/p", pod(bare, died("139", "")) + node, "crash", "exit code 139: it touched memory that is not its own (SIGSEGV) (restarted 4 times)", "logs pod/p -c c"},
		{"an exit code of 0 is no crash", "pod/p", pod(bare, died("0", "")) + node, "ends by itself", "ends by itself with exit code 0", ""},
		{"a limit of memory is doubled", "pod/p", strings.Replace(pod(bare, died("137", ", reason: OOMKilled")), `image: "web:2"`, `image: "web:2", resources: {limits: {memory: 24Mi}}`, 1) + node,
			"out of memory", "its limit of 24Mi", "get pod/p -o json | set resources -f - --local -c c --limits=memory=48Mi -o json | replace --force -f -"},
		{"without a limit it was the node's memory", "pod/p", pod(bare, died("137", ", reason: OOMKilled")) + node, "out of memory", "node n1 ran out of memory", ""},
		{"what the runtime says otherwise is passed on", "pod/p", pod(bare, waits("CreateContainerError", "no space left")) + node, "container cannot start", "CreateContainerError", ""},

		{"the node comes before the pod on it", "deployment/web", pod(owned, waits("ImagePullBackOff", "image not found")) + family + older + "\n---\nAbsent: [node/n1]",
			"node silent", "the agent of node/n1 has said nothing for 5s", "start"},
		{"a lease that is not renewed is silence, too", "node/n1", strings.Replace(node, "11:59:55", "11:58:00", 1), "node silent", "has said nothing for 2m", "start"},
		{"a runtime that is down", "node/n1", strings.Replace(node, `status: "True"`, `status: "False", message: "container runtime is down: dial"`, 1), "runtime down", "container runtime is down: dial", "start"},
		{"a node that is not ready for another reason", "node/n1", strings.Replace(node, `status: "True"`, `status: "False", message: no network`, 1), "node not ready", "no network", "logs --component agent --node n1"},
		{"a node that does not exist", "pod/p", pod(bare, "{phase: Pending}"), "node does not exist", "bound to node n1 by spec.nodeName, and there is no such node",
			`get pod/p -o json | patch -f - --local --type=json -p '[{"op":"remove","path":"/spec/nodeName"}]' -o json | replace --force -f -`},
		{"a pod that shall end on a node that is gone", "pod/p", pod(`, deletionTimestamp: "2026-01-01T11:00:00Z"}, `, "{phase: Running}"), "node does not exist", "nobody can say that it has ended",
			"delete pod/p --grace-period=0 --force"},

		{"a finalizer holds what is deleted", "pod/p", pod(`, deletionTimestamp: "2026-01-01T11:00:00Z", deletionGracePeriodSeconds: 0, finalizers: [example.com/backup]}, `, "{phase: Running}") + node,
			"finalizer holds it", "its finalizer example.com/backup holds it: example.com has to take it off", `patch pod/p --type=json -p '[{"op":"remove","path":"/metadata/finalizers/0"}]'`},
		{"but not while the pod's time is not over", "pod/p", pod(`, deletionTimestamp: "2026-01-01T12:00:30Z", deletionGracePeriodSeconds: 30, finalizers: [example.com/backup]}, `, "{phase: Running}") + node,
			"", "is ending", ""},
		{"a namespace waits for what is in it", "namespace/old", `{apiVersion: v1, kind: Namespace, metadata: {name: old, uid: o, deletionTimestamp: "2026-01-01T11:00:00Z"}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: cm, namespace: old, uid: cm, deletionTimestamp: "2026-01-01T11:00:00Z", finalizers: [a, b]}}`,
			"finalizer holds it", "configmap/cm is deleted, but its finalizer a holds it", `patch configmap/cm --type=json -p '[{"op":"remove","path":"/metadata/finalizers/0"}]' -n old`},

		{"a rollout that was paused before it began", "deployment/web", strings.Replace(family, "replicas: 1, progress", "paused: true, replicas: 1, progress", 1) + older + "\n---\nAbsent: []", "", "is on its way", ""},
		{"a pod that is refused", "deployment/web", strings.Replace(family, "status: {replicas: 1}", `status: {conditions: [{type: ReplicaFailure, status: "True", message: no PriorityClass with name x}]}`, 1) + older,
			"pods refused", "no PriorityClass with name x", "rollout undo deployment/web"},
		{"nobody acts", "deployment/web", family + "\n---\nAbsent: [controllers]", "controllers not running", "no controllers run, so nobody acts on deployment/web", "start"},
		{"stuck, and nothing below says why", "deployment/web", strings.Replace(family, "status: {observedGeneration: 2,", `status: {observedGeneration: 2, conditions: [{type: Progressing, status: "False", message: timed out}],`, 1) + older,
			"rollout stuck", "timed out", "rollout undo deployment/web"},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			f := facts(t, c.facts)
			i := slices.IndexFunc(f.Objects, func(o api.Object) bool { return name(o) == c.about })
			if i < 0 {
				t.Fatalf("there is no %s", c.about)
			}
			d := Diagnose(f, f.Objects[i])
			if d.Cause == nil {
				d.Cause = &Cause{Text: d.State}
			}
			if try := strings.Join(append(d.Cause.Try, "")[:1], ""); d.Cause.Name != c.cause || !strings.Contains(d.Cause.Text, c.says) || try != c.try {
				t.Errorf("it is %q: %s\n  try %s\nnot %q: %s\n  try %s", d.Cause.Name, d.Cause.Text, try, c.cause, c.says, c.try)
			}
		})
	}
}

// waiting pods, with what the scheduler says of them.
func TestPendingPods(t *testing.T) {
	free := strings.Replace(pod(bare, "{phase: Pending}"), "nodeName: n1, ", "", 1)
	child := strings.Replace(pod(owned, "{phase: Pending}"), "nodeName: n1, ", "", 1)
	matrix := func(fixes string) string {
		return "\n---\nMatrix: {p: {filters: [F], nodes: 1, rows: [{node: n1, reasons: [{text: no}], fixes: [" + fixes + "]}]}}"
	}
	for _, c := range []struct{ sentence, facts, cause, try, or string }{
		{"a gate", strings.Replace(free, "spec: {", "spec: {schedulingGates: [{name: g}], ", 1), "scheduling gate", `patch pod/p --type=json -p '[{"op":"remove","path":"/spec/schedulingGates"}]'`, ""},
		{"another scheduler", strings.Replace(free, "default-scheduler", "mine", 1), "other scheduler",
			`get pod/p -o json | patch -f - --local --type=json -p '[{"op":"replace","path":"/spec/schedulerName","value":"default-scheduler"}]' -o json | replace --force -f -`, ""},
		{"no scheduler", free + "\n---\nAbsent: [scheduler]", "no scheduler", "start", ""},
		{"no scheduler in a simulated cluster", free + "\n---\nAbsent: [scheduler]\nParts: true\nStart: start --name x", "no scheduler", "part start scheduler --name x", ""},
		{"no nodes", free + "\n---\nMatrix: {p: {nodes: 0}}", "fits nowhere", "start", ""},
		{"it fits by now", free + "\n---\nMatrix: {p: {nodes: 1, rows: [{node: n1, reasons: [null]}]}}", "", "", ""},
		{"a cordon", free + matrix("{kind: uncordon, node: n1}"), "fits nowhere", "uncordon n1", ""},
		{"a label", free + node + matrix("{kind: label, node: n1, key: a/b, value: c}"), "fits nowhere", "label node n1 a/b=c",
			`get pod/p -o json | patch -f - --local --type=json -p '[{"op":"remove","path":"/spec/nodeSelector/a~1b"}]' -o json | replace --force -f -`},
		{"a taint, for a pod", free + matrix("{kind: tolerate, node: n1, key: a, effect: NoSchedule}"), "fits nowhere",
			`patch pod/p --type=json -p '[{"op":"add","path":"/spec/tolerations/-","value":{"key":"a","operator":"Exists","effect":"NoSchedule"}}]'`, "taint nodes n1 a:NoSchedule-"},
		{"a taint, for a deployment", child + family + matrix("{kind: tolerate, node: n1, key: a, value: b, effect: NoExecute}"), "fits nowhere",
			`patch deployment/web --type=json -p '[{"op":"add","path":"/spec/template/spec/tolerations","value":[{"key":"a","value":"b","effect":"NoExecute"}]}]'`, "taint nodes n1 a:NoExecute-"},
		{"a request", child + family + matrix("{kind: request, container: c, resource: cpu, value: 500m}"), "fits nowhere", "set resources deployment/web -c c --requests=cpu=500m", ""},
		{"others that have to go", free + matrix("{kind: evict, node: n1, pods: [prod/x]}"), "fits nowhere", "delete pod/x -n prod", ""},
		{"others that would come back are made fewer", free + strings.Replace(family, "replicas: 1, progress", "replicas: 3, progress", 1) +
			"\n---\n" + strings.Replace(pod(owned, "{phase: Running}"), "name: p,", "name: x,", 1) + matrix("{kind: evict, node: n1, pods: [default/x]}"), "fits nowhere", "scale deployment/web --replicas=2", ""},
		{"two changes are both needed", free + matrix("{kind: uncordon, node: n1}, {kind: label, node: n1, key: a, value: b}"), "fits nowhere", "uncordon n1; label node n1 a=b", ""},
		{"nodes on which nothing helps", free + node + matrix(""), "fits nowhere at all", "describe node n1", ""},
		{"a node that was cut off on purpose", free + node + matrix("") + "\n---\nAbsent: [node/n1]\nMend: {node/n1: node heal n1}", "node silent", "node heal n1", ""},
		{"a node that nothing but its return can help", free + node + matrix("") + "\n---\nAbsent: [node/n1]", "node silent", "start", ""},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			f := facts(t, c.facts)
			d := Diagnose(f, get[*corev1.Pod](f, api.Key{Namespace: "default", Name: "p"}))
			if d.Cause == nil {
				d.Cause = &Cause{}
			}
			try, or := strings.Join(d.Cause.Try, "; "), strings.Join(d.Cause.Or, "; ")
			if d.Cause.Name != c.cause || try != c.try || or != c.or {
				t.Errorf("it is %q (%s)\n  try %s\n  or %s\nnot %q\n  try %s\n  or %s", d.Cause.Name, d.Cause.Text, try, or, c.cause, c.try, c.or)
			}
		})
	}
}

// The page for readers is the table of rules, in its order.
func TestThePageIsTheTable(t *testing.T) {
	page, err := os.ReadFile("../../docs/why.md")
	if err != nil {
		t.Fatal(err)
	}
	var have, want []string
	for _, m := range regexp.MustCompile(`(?m)^\| (.*) \|$`).FindAllStringSubmatch(string(page), -1)[1:] {
		have = append(have, m[1])
	}
	for _, r := range rules() {
		about := "any"
		if r.About != nil {
			about = r.About.Name
		}
		if r.Name != "" {
			want = append(want, strings.Join([]string{about, r.Name, r.Sees, r.Heals}, " | "))
		}
	}
	for i, line := range want {
		if i >= len(have) || have[i] != line {
			t.Fatalf("row %d of docs/why.md should be\n| %s |\nthe whole table:\n| %s |", i+1, line, strings.Join(want, " |\n| "))
		}
	}
	if len(have) > len(want) {
		t.Errorf("docs/why.md has causes that the table does not have: %s", have[len(want):])
	}
}
