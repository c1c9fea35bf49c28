package pod

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"optimist/agent/probe"
	"optimist/internal/api"
)

func TestStatus(t *testing.T) {
	always := `spec: {containers: [{name: web}]}`
	for _, row := range []struct {
		name, pod, box string
		memory         func(*Memory)
		want           string // YAML: a part of the status
	}{
		{"a new pod is pending and its containers are being created", always, "", nil,
			`{phase: Pending, hostIP: 192.0.2.1, startTime: "2026-01-02T12:00:00Z", containerStatuses: [{name: web, image: nginx, started: false, state: {waiting: {reason: ContainerCreating}}}]}`},
		{"with init containers, all are initializing", `spec: {initContainers: [{name: i}], containers: [{name: web}]}`, "10.0.0.1 i#0:running", nil,
			`{phase: Pending, podIP: 10.0.0.1, initContainerStatuses: [{name: i, started: true, ready: false}], containerStatuses: [{state: {waiting: {reason: PodInitializing}}}]}`},
		{"what runs is ready", always, "10.0.0.1 web#0:running", nil,
			`{phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}], containerStatuses: [{ready: true, started: true, restartCount: 0, containerID: "sim://u.web.0", state: {running: {startedAt: "2026-01-02T11:58:00Z"}}}]}`},
		{"one with a readiness probe is ready once that says so", probed("readiness"), "10.0.0.1 web#0:running", nil, `{containerStatuses: [{ready: false, started: true}]}`},
		{"… as now", probed("readiness"), "10.0.0.1 web#0:running", asked(probe.Readiness, true, false, 0), `{containerStatuses: [{ready: true, started: true}]}`},
		{"before the first answer it stays what it was, also for another agent", `{status: {containerStatuses: [{name: web, ready: true, state: {running: {}}}]}, spec: {containers: [{name: web, readinessProbe: {}}]}}`,
			"10.0.0.1 web#0:running", nil, `{containerStatuses: [{ready: true}]}`},
		{"but a new attempt has to show it", `{status: {containerStatuses: [{name: web, ready: true, state: {running: {}}}]}, spec: {containers: [{name: web, readinessProbe: {}}]}}`,
			"10.0.0.1 web#1:running", nil, `{containerStatuses: [{ready: false}]}`},
		{"what has not started is not ready", probed("startup"), "10.0.0.1 web#0:running", nil, `{containerStatuses: [{ready: false, started: false}]}`},
		{"a crash in back-off says how long, and how it ended before", always, "10.0.0.1 web#0:exit1 web#1:exit2/4s/streak1", nil,
			`{phase: Running, containerStatuses: [{restartCount: 1, ready: false, state: {waiting: {reason: CrashLoopBackOff, message: "back-off 10s restarting failed container=web pod=p_default(u)"}}, lastState: {terminated: {exitCode: 2, reason: Error}}}]}`},
		{"after a restart the attempt before is the last state", always, "10.0.0.1 web#0:exit1/1s/OOMKilled web#1:running", nil,
			`{containerStatuses: [{restartCount: 1, state: {running: {}}, lastState: {terminated: {exitCode: 1, reason: OOMKilled, containerID: "sim://u.web.0", finishedAt: "2026-01-02T11:59:59Z"}}}]}`},
		{"a pull that just failed shows its error", always, "10.0.0.1", failed("web", errImagePull, time.Second, 9*time.Second),
			`{containerStatuses: [{state: {waiting: {reason: ErrImagePull}}}]}`},
		{"a little later it shows the back-off", always, "10.0.0.1", failed("web", errImagePull, 3*time.Second, 7*time.Second),
			`{containerStatuses: [{state: {waiting: {reason: ImagePullBackOff, message: 'Back-off pulling image "nginx": ErrImagePull: '}}}]}`},
		{"a start that failed shows why", always, "10.0.0.1", failed("web", createContainerConfigError, time.Second, 9*time.Second),
			`{containerStatuses: [{state: {waiting: {reason: CreateContainerConfigError}}}]}`},
		{"a command that cannot run", always, "10.0.0.1 web#0:exit128/0s/StartError", nil,
			`{containerStatuses: [{state: {waiting: {reason: RunContainerError}}, lastState: {terminated: {exitCode: 128, reason: StartError}}}]}`},
		{"a job that is done", `spec: {restartPolicy: Never, containers: [{name: web}]}`, "10.0.0.1 web#0:exit0", nil,
			`{phase: Succeeded, containerStatuses: [{state: {terminated: {exitCode: 0, reason: Completed}}}]}`},
		{"one of two failed under Never while the other runs", `spec: {restartPolicy: Never, containers: [{name: a}, {name: b}]}`, "10.0.0.1 a#0:exit1 b#0:running", nil, `{phase: Running}`},
		{"one of two failed, the other succeeded", `spec: {restartPolicy: Never, containers: [{name: a}, {name: b}]}`, "10.0.0.1 a#0:exit1 b#0:exit0", nil, `{phase: Failed}`},
		{"the host's network has the host's address", `spec: {hostNetwork: true, containers: [{name: web}]}`, "-", nil, `{podIP: 192.0.2.1}`},
		{"what the scheduler wrote stays", `{status: {qosClass: Burstable, conditions: [{type: PodScheduled, status: "True"}]}, spec: {containers: [{name: web}]}}`, "", nil,
			`{qosClass: Burstable, conditions: [{type: PodScheduled, status: "True"}]}`},
		{"a lost container says so", `{status: {containerStatuses: [{name: web, containerID: "sim://x", state: {running: {}}}]}, spec: {restartPolicy: Never, containers: [{name: web}]}}`, "", nil,
			`{phase: Failed, containerStatuses: [{state: {terminated: {exitCode: 137, reason: ContainerStatusUnknown}}}]}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := View{Pod: parsePod(t, row.pod), Memory: newMemory(), Node: Node{Name: "n1", IP: "192.0.2.1", Runtime: "sim"}, Sandbox: parseBox(t, row.box)}
			if row.memory != nil {
				row.memory(&v.Memory)
			}
			status := Status(v, now)
			contains(t, "status", tree(t, status), wanted(t, row.want))
			again := v
			again.Pod = v.Pod.DeepCopy()
			again.Pod.Status = *status
			if steps := report(again, now, "again"); len(steps) != 0 && row.box != "" {
				t.Errorf("a status that was written differs from itself:\n%v\n%v", status, steps[0].Status)
			}
		})
	}
}

func TestConditions(t *testing.T) {
	for _, row := range []struct{ name, pod, box, want string }{
		{"nothing is ready before the sandbox", `spec: {containers: [{name: web}]}`, "",
			"PodReadyToStartContainers=False Initialized=True ContainersReady=False/ContainersNotReady Ready=False/ContainersNotReady"},
		{"init containers hold Initialized", `spec: {initContainers: [{name: i}], containers: [{name: web}]}`, "10.0.0.1",
			"PodReadyToStartContainers=True Initialized=False/ContainersNotInitialized ContainersReady=False/ContainersNotReady Ready=False/ContainersNotReady"},
		{"all is ready when all runs", `spec: {initContainers: [{name: i}], containers: [{name: web}]}`, "10.0.0.1 i#0:exit0 web#0:running",
			"PodReadyToStartContainers=True Initialized=True ContainersReady=True Ready=True"},
		{"a gate that nobody opened holds Ready", `spec: {readinessGates: [{conditionType: example.test/gate}], containers: [{name: web}]}`, "10.0.0.1 web#0:running",
			"PodReadyToStartContainers=True Initialized=True ContainersReady=True Ready=False/ReadinessGatesNotReady"},
		{"a finished pod is completed", `spec: {restartPolicy: Never, containers: [{name: web}]}`, "10.0.0.1 web#0:exit0",
			"PodReadyToStartContainers=False Initialized=True/PodCompleted ContainersReady=False/PodCompleted Ready=False/PodCompleted"},
		{"a failed pod is failed", `spec: {restartPolicy: Never, containers: [{name: web}]}`, "10.0.0.1 web#0:exit1",
			"PodReadyToStartContainers=False Initialized=True ContainersReady=False/PodFailed Ready=False/PodFailed"},
	} {
		v := View{Pod: parsePod(t, row.pod), Memory: newMemory(), Sandbox: parseBox(t, row.box)}
		var words []string
		for _, c := range Status(v, now).Conditions {
			words = append(words, strings.TrimSuffix(fmt.Sprintf("%s=%s/%s", c.Type, c.Status, c.Reason), "/"))
		}
		if got := strings.Join(words, " "); got != row.want {
			t.Errorf("%s:\ngot  %s\nwant %s", row.name, got, row.want)
		}
	}
}

func TestAConditionKeepsItsTimeWhileItStaysAsItIs(t *testing.T) {
	v := View{Pod: parsePod(t, `spec: {containers: [{name: web}]}`), Memory: newMemory()}
	v.Pod.Status = *Status(v, now)
	v.Sandbox = parseBox(t, "10.0.0.1 web#0:running")
	later := Status(v, now.Add(time.Minute))
	for kind, want := range map[corev1.PodConditionType]time.Time{corev1.PodInitialized: now, corev1.PodReady: now.Add(time.Minute)} {
		if got := api.PodCondition(later, kind).LastTransitionTime; !got.Time.Equal(want) {
			t.Errorf("%s changed at %v, want %v", kind, got, want)
		}
	}
}

func wanted(t *testing.T, text string) any {
	t.Helper()
	var all any
	if err := yaml.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func tree(t *testing.T, o any) any {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var all any
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// contains reports every leaf of want that got does not have.
func contains(t *testing.T, at string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		for key, value := range want {
			m, _ := got.(map[string]any)
			contains(t, at+"."+key, m[key], value)
		}
	case []any:
		list, _ := got.([]any)
		for i, value := range want {
			if i >= len(list) {
				t.Errorf("%s[%d] misses", at, i)
				continue
			}
			contains(t, fmt.Sprintf("%s[%d]", at, i), list[i], value)
		}
	case bool:
		if b, _ := got.(bool); b != want { // false is left out
			t.Errorf("%s = %v, want %v", at, got, want)
		}
	default:
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s = %v, want %v", at, got, want)
		}
	}
}
