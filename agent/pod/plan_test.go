package pod

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"optimist/agent/probe"
	"optimist/agent/runtime"
	"optimist/agent/volume"
)

// now is the moment of all tables.
var now = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// parsePod reads a Pod whose uid is "u".
func parsePod(t *testing.T, text string) *corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(text), &pod); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	pod.UID, pod.Namespace, pod.Name = "u", "default", "p"
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Image == "" {
				list[i].Image = "nginx"
			}
			if list[i].ImagePullPolicy == "" {
				list[i].ImagePullPolicy = corev1.PullIfNotPresent
			}
		}
	}
	if pod.Spec.RestartPolicy == "" {
		pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	return &pod
}

// parseBox reads a sandbox: "" is none, otherwise its address ("-" = none yet) and attempts like
//
//	web#1:running  web#0:exit1   (a minute ago, after running for a minute)   web#2:exit1/5s/streak2  (5 s ago)
func parseBox(t *testing.T, text string) *runtime.Sandbox {
	t.Helper()
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil
	}
	box := &runtime.Sandbox{Created: now.Add(-time.Hour)}
	if words[0] != "-" {
		box.Address = netip.MustParseAddr(words[0])
	}
	for _, word := range words[1:] {
		box.Containers = append(box.Containers, parseAttempt(t, word))
	}
	return box
}

func parseAttempt(t *testing.T, word string) runtime.Container {
	t.Helper()
	who, how, _ := strings.Cut(word, ":")
	name, attempt, _ := strings.Cut(who, "#")
	n, err := strconv.Atoi(attempt)
	if err != nil {
		t.Fatalf("attempt %q: %v", word, err)
	}
	c := runtime.Container{ID: runtime.ContainerID{Pod: "u", Name: name, Attempt: n}, Image: "nginx", Started: now.Add(-2 * time.Minute), Labels: map[string]string{}}
	facts := strings.Split(how, "/")
	code, exited := strings.CutPrefix(facts[0], "exit")
	if !exited {
		c.Phase = runtime.Running
		return c
	}
	c.Phase, c.Finished = runtime.Exited, now.Add(-time.Minute)
	if c.ExitCode, err = strconv.Atoi(code); err != nil {
		t.Fatalf("attempt %q: %v", word, err)
	}
	for _, fact := range facts[1:] {
		if streak, ok := strings.CutPrefix(fact, "streak"); ok {
			c.Labels[labelStreak] = streak
		} else if ago, err := time.ParseDuration(fact); err == nil {
			c.Finished = now.Add(-ago)
			c.Started = c.Finished.Add(-time.Second)
		} else {
			c.Reason = fact
		}
	}
	return c
}

// told is a step in a few words.
func told(s Step) string {
	switch s.Do {
	case FindImage, Pull:
		return fmt.Sprintf("%s %s", s.Do, s.Container)
	case StartContainer:
		return fmt.Sprintf("Start %s#%d", s.Container, s.ID.Attempt)
	case Stop:
		return fmt.Sprintf("Stop %s#%d %v", s.ID.Name, s.ID.Attempt, s.Grace)
	case Ask:
		return fmt.Sprintf("Ask %s %s", s.Probe, s.ID.Name)
	case PostStart:
		return "PostStart " + s.ID.Name
	case Remove:
		return fmt.Sprintf("Remove %s#%d", s.ID.Name, s.ID.Attempt)
	case WriteStatus:
		return fmt.Sprintf("Write %s", s.Status.Phase)
	case Wait:
		return fmt.Sprintf("Wait %v", s.Until.Sub(now))
	default:
		return string(s.Do)
	}
}

func tell(steps []Step) string {
	var words []string
	for _, s := range steps {
		words = append(words, told(s))
	}
	return strings.Join(words, ", ")
}

// begun is a pod whose first status is written, so that the next write means something.
const begun = `status: {phase: Pending, startTime: "2026-01-02T11:00:00Z"}` + "\n"

func TestPlan(t *testing.T) {
	one := begun + `spec: {containers: [{name: web}]}`
	for _, row := range []struct {
		name, pod, box string
		memory         func(m *Memory)
		want           string
	}{
		{"a new pod is acknowledged, then gets its sandbox", `spec: {containers: [{name: web}]}`, "", nil, "Write Pending, StartSandbox"},
		{"a sandbox comes first", one, "", nil, "StartSandbox"},
		{"then the address", one, "-", nil, "AttachNetwork"},
		{"a pod in the host's network has none", begun + `spec: {hostNetwork: true, containers: [{name: web}]}`, "-", nil, "FindImage web"},
		{"the image is looked for on the node", one, "10.0.0.1", nil, "FindImage web"},
		{"an image that is not there is pulled, and people are told before", one, "10.0.0.1", absent("web"), "Write Pending, Pull web"},
		{"Always pulls at once", begun + `spec: {containers: [{name: web, imagePullPolicy: Always}]}`, "10.0.0.1", nil, "Write Pending, Pull web"},
		{"with its image the container starts", one, "10.0.0.1", imaged("web"), "Start web#0"},
		{"what runs is told", one, "10.0.0.1 web#0:running", nil, "Write Running"},
		{"a first crash is started again at once", one, "10.0.0.1 web#0:exit1/1s", imaged("web"), "Start web#1"},
		{"a second crash waits 10 s from its end", one, "10.0.0.1 web#1:exit1/4s/streak1", imaged("web"), "Write Running, Wait 6s"},
		{"the fifth waits 80 s", one, "10.0.0.1 web#4:exit1/20s/streak4", nil, "Write Running, Wait 1m0s"},
		{"none waits more than five minutes", one, "10.0.0.1 web#40:exit1/0s/streak40", nil, "Write Running, Wait 5m0s"},
		{"when the time has come, it starts", one, "10.0.0.1 web#1:exit1/11s/streak1", imaged("web"), "Start web#2"},
		{"Never does not start again", begun + `spec: {restartPolicy: Never, containers: [{name: web}]}`, "10.0.0.1 web#0:exit1", nil, "Write Failed"},
		{"OnFailure does after a failure", begun + `spec: {restartPolicy: OnFailure, containers: [{name: web}]}`, "10.0.0.1 web#0:exit1", imaged("web"), "Start web#1"},
		{"OnFailure does not after a success", begun + `spec: {restartPolicy: OnFailure, containers: [{name: web}]}`, "10.0.0.1 web#0:exit0", nil, "Write Succeeded"},
		{"a container's own policy goes before the pod's", begun + `spec: {restartPolicy: Never, containers: [{name: web, restartPolicy: Always}]}`, "10.0.0.1 web#0:exit0", imaged("web"), "Start web#1"},
		{"one that waits does not hold the other up", begun + `spec: {containers: [{name: a}, {name: b}]}`, "10.0.0.1 a#1:exit1/4s/streak1", imaged("b"), "Start b#0, Wait 6s"},
		{"a failed pull waits for its back-off", one, "10.0.0.1", failed("web", errImagePull, time.Second, 9*time.Second), "Write Pending, Wait 1s"},
		{"a failed sandbox too", one, "", failed("StartSandbox", "", 0, 4*time.Second), "Wait 4s"},
		{"only the last two attempts are kept", one, "10.0.0.1 web#0:exit1 web#1:exit1 web#2:running", nil, "Write Running, Remove web#0"},

		{"main containers wait for init containers", begun + `spec: {initContainers: [{name: i}], containers: [{name: web}]}`, "10.0.0.1", imaged("i", "web"), "Start i#0"},
		{"init containers come one by one", begun + `spec: {initContainers: [{name: i}, {name: j}], containers: [{name: web}]}`, "10.0.0.1 i#0:running", imaged("j"), "Write Pending"},
		{"the next when one is done", begun + `spec: {initContainers: [{name: i}, {name: j}], containers: [{name: web}]}`, "10.0.0.1 i#0:exit0", imaged("j"), "Start j#0"},
		{"the main ones after all", begun + `spec: {initContainers: [{name: i}], containers: [{name: web}]}`, "10.0.0.1 i#0:exit0", imaged("web"), "Start web#0"},
		{"a failed init container starts again", begun + `spec: {initContainers: [{name: i}], containers: [{name: web}]}`, "10.0.0.1 i#0:exit1", imaged("i"), "Start i#1"},
		{"unless the policy is Never", begun + `spec: {restartPolicy: Never, initContainers: [{name: i}], containers: [{name: web}]}`, "10.0.0.1 i#0:exit1", imaged("i"), "Write Failed"},
		{"a sidecar needs only to run", begun + `spec: {initContainers: [{name: s, restartPolicy: Always}], containers: [{name: web}]}`, "10.0.0.1 s#0:running", imaged("web"), "Start web#0"},
		{"a sidecar that crashed is restarted beside its pod", begun + `spec: {initContainers: [{name: s, restartPolicy: Always}], containers: [{name: web}]}`, "10.0.0.1 s#0:exit1 web#0:running", imaged("s"), "Start s#1"},
		{"sidecars end with the work", begun + `spec: {restartPolicy: Never, initContainers: [{name: s, restartPolicy: Always}], containers: [{name: web}]}`, "10.0.0.1 s#0:running web#0:exit0", nil, "Write Running, Stop s#0 30s"},

		{"what wants something after its start gets it", begun + `spec: {containers: [{name: web, lifecycle: {postStart: {sleep: {seconds: 1}}}}]}`, "10.0.0.1", imaged("web"), "Start web#0, PostStart web"},
		{"a probe is asked before anything else", probed("readiness"), "10.0.0.1 web#0:running", nil, "Ask Readiness web"},
		{"what is not ready is told, until the next time", probed("readiness"), "10.0.0.1 web#0:running", asked(probe.Readiness, false, false, 7*time.Second), "Write Running, Wait 7s"},
		{"the answers of another attempt do not count", probed("readiness"), "10.0.0.1 web#1:running", asked(probe.Readiness, false, true, 7*time.Second), "Ask Readiness web"},
		{"nobody is asked before the initial delay", begun + `spec: {containers: [{name: web, livenessProbe: {initialDelaySeconds: 150, periodSeconds: 10}}]}`, "10.0.0.1 web#0:running", nil, "Write Running, Wait 30s"},
		{"until a container has started, nothing but that is asked", probed("readiness", "startup", "liveness"), "10.0.0.1 web#0:running", nil, "Ask Startup web"},
		{"then the rest", probed("readiness", "startup", "liveness"), "10.0.0.1 web#0:running", asked(probe.Startup, true, false, 0), "Ask Liveness web, Ask Readiness web"},
		{"one that is not alive is stopped, with the probe's grace", probed("liveness"), "10.0.0.1 web#0:running", asked(probe.Liveness, false, true, 7*time.Second), "Stop web#0 5s"},
		{"so is one that does not start", probed("startup"), "10.0.0.1 web#0:running", asked(probe.Startup, false, true, 7*time.Second), "Stop web#0 5s"},
		{"a container waits for a sidecar to have started", begun + `spec: {initContainers: [{name: s, restartPolicy: Always, startupProbe: {periodSeconds: 10}}], containers: [{name: web}]}`,
			"10.0.0.1 s#0:running", func(m *Memory) { m.Probes["Startup s"] = probe.Record{Due: now.Add(time.Second)} }, "Write Pending, Wait 1s"},

		{"a container whose image was changed is stopped", begun + `spec: {containers: [{name: web, image: "nginx:2"}]}`, "10.0.0.1 web#0:running", nil, "Stop web#0 30s"},
		{"and started again", begun + `spec: {containers: [{name: web, image: "nginx:2"}]}`, "10.0.0.1 web#0:exit0/0s", imaged("web"), "Start web#1"},

		{"a deleted pod is stopped within what is left of its grace", deleted(20*time.Second) + one, "10.0.0.1 web#0:running", nil, "Stop web#0 21s"},
		{"which is never more than its whole grace", deleted(50*time.Second) + one, "10.0.0.1 web#0:running", nil, "Stop web#0 30s"},
		{"and not less than two seconds", deleted(-time.Minute) + one, "10.0.0.1 web#0:running", nil, "Stop web#0 2s"},
		{"side by side, sidecars last", deleted(9*time.Second) + begun + `spec: {initContainers: [{name: s, restartPolicy: Always}], containers: [{name: a}, {name: b}]}`,
			"10.0.0.1 s#0:running a#0:running b#0:running", nil, "Stop a#0 10s, Stop b#0 10s"},
		{"then it is told how they ended", deleted(time.Second) + one, "10.0.0.1 web#0:exit0", nil, "Write Succeeded"},
		{"without a sandbox only the deletion is left", deleted(time.Second) + one, "", nil, "DeletePod"},
		{"which is told once, however long finalizers keep the pod", `metadata: {deletionTimestamp: "2026-01-02T11:00:00Z", deletionGracePeriodSeconds: 0, finalizers: [example.com/backup]}` + "\n" + one, "", nil, ""},
		{"nothing is started for a deleted pod", deleted(time.Second) + one, "10.0.0.1", imaged("web"), "Write Pending"},

		{"the deadline stops what runs", begun + `spec: {activeDeadlineSeconds: 3600, terminationGracePeriodSeconds: 7, containers: [{name: web}]}`, "10.0.0.1 web#0:running", nil, "Stop web#0 7s"},
		{"and fails the pod", begun + `spec: {activeDeadlineSeconds: 3600, containers: [{name: web}]}`, "10.0.0.1 web#0:exit0", nil, "Write Failed"},
		{"before it, the plan waits for it", begun + `spec: {activeDeadlineSeconds: 3660, containers: [{name: web}]}`, "10.0.0.1 web#0:running", nil, "Write Running, Wait 1m0s"},

		{"a finished pod frees its address", `{status: {phase: Failed}, spec: {restartPolicy: Never, containers: [{name: web}]}}`, "10.0.0.1 web#0:exit1", nil, "Write Failed, DetachNetwork"},
		{"what runs in a pod that others declared failed is stopped", `{status: {phase: Failed}, spec: {containers: [{name: web}]}}`, "10.0.0.1 web#0:running", nil, "Stop web#0 30s"},
		{"a finished pod that is not here is left alone", `{status: {phase: Succeeded}, spec: {containers: [{name: web}]}}`, "", nil, ""},

		{"a lost sandbox goes on with the next attempt", `{status: {phase: Running, startTime: "2026-01-02T11:00:00Z", containerStatuses: [{name: web, restartCount: 2, containerID: "sim://x", state: {running: {}}}]}, spec: {containers: [{name: web}]}}`,
			"10.0.0.1", imaged("web"), "Start web#3"},
		{"under Never, a lost container has failed", `{status: {phase: Running, startTime: "2026-01-02T11:00:00Z", containerStatuses: [{name: web, containerID: "sim://x", state: {running: {}}}]}, spec: {restartPolicy: Never, containers: [{name: web}]}}`,
			"", nil, "Write Failed"},
		{"a new sandbox begins with the init containers", `{status: {phase: Running, startTime: "2026-01-02T11:00:00Z", initContainerStatuses: [{name: i, containerID: "sim://i", state: {terminated: {exitCode: 0}}}], containerStatuses: [{name: web, containerID: "sim://x", state: {running: {}}}]}, spec: {initContainers: [{name: i}], containers: [{name: web}]}}`,
			"10.0.0.1", imaged("i", "web"), "Start i#1"},

		{"a pod that is not in the cache is asked for", "", "10.0.0.1 web#0:running", nil, "Confirm"},
		{"then stopped", "", "10.0.0.1 web#0:running", func(m *Memory) { m.Confirmed = true }, "Stop web#0 2s"},
		{"then removed", "", "10.0.0.1 web#0:exit0", func(m *Memory) { m.Confirmed = true }, "RemoveSandbox"},
		{"then forgotten", "", "", func(m *Memory) { m.Confirmed = true }, "Forget"},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := View{Memory: newMemory(), Node: Node{Name: "n1", IP: "192.0.2.1", Runtime: "sim"}, Sandbox: parseBox(t, row.box)}
			if row.pod != "" {
				v.Pod = parsePod(t, row.pod)
			}
			if row.memory != nil {
				row.memory(&v.Memory)
			}
			steps := Plan(v, now)
			if got := tell(steps); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
			for _, s := range steps {
				if s.Why == "" {
					t.Errorf("%s has no reason", told(s))
				}
			}
		})
	}
}

func imaged(names ...string) func(*Memory) {
	return func(m *Memory) {
		for _, name := range names {
			m.Images[name] = runtime.Image{ID: "sha256:1"}
		}
	}
}

// probed is a pod whose container has probes.
func probed(kinds ...string) string {
	text := begun + `spec: {containers: [{name: web`
	for _, k := range kinds {
		text += fmt.Sprintf(", %sProbe: {periodSeconds: 10, failureThreshold: 3, successThreshold: 1, terminationGracePeriodSeconds: 5}", k)
	}
	return text + "}]}"
}

// asked is what a probe of attempt 0 has told, and how long it is until the next.
func asked(k probe.Kind, healthy, failed bool, next time.Duration) func(*Memory) {
	return func(m *Memory) {
		m.Probes[probeKey(k, "web")] = probe.Record{Healthy: healthy, Failed: failed, Due: now.Add(next)}
	}
}

func absent(name string) func(*Memory) {
	return func(m *Memory) { m.Absent[name] = true }
}

// failed is a step that failed some time ago and may be tried again after another.
func failed(key, reason string, ago, left time.Duration) func(*Memory) {
	return func(m *Memory) {
		m.Troubles[key] = Trouble{Reason: reason, Count: 1, Since: now.Add(-ago), Until: now.Add(left)}
	}
}

// deleted is the head of a pod whose grace ends after the rest.
func deleted(rest time.Duration) string {
	return fmt.Sprintf("metadata: {deletionTimestamp: %q, deletionGracePeriodSeconds: 30}\n", now.Add(rest).Format(time.RFC3339))
}

// Volumes come first and go last; what is in them is renewed while the pod runs, and no failure of that keeps its containers from being started.
func TestPlanOfVolumes(t *testing.T) {
	spec := "spec: {volumes: [{name: v}], containers: [{name: web}]}"
	mounted := func(due time.Duration) volume.State {
		return volume.State{Mounted: true, Exist: true, Due: now.Add(due)}
	}
	for _, row := range []struct {
		name, pod, box string
		volumes        volume.State
		memory         func(m *Memory)
		want           string
	}{
		{"before there is a sandbox", begun + spec, "", volume.State{}, nil, "Mount"},
		{"people are told that the pod waits", spec, "", volume.State{}, nil, "Write Pending, Mount"},
		{"nothing is started without them", begun + spec, "10.0.0.1", volume.State{}, failed("Mount", "", 0, 4*time.Second), "Write Pending, Wait 4s"},
		{"then the sandbox", begun + spec, "", mounted(time.Hour), nil, "StartSandbox, Wait 1h0m0s"},
		{"a token is renewed in time", begun + spec, "10.0.0.1 web#0:running", mounted(0), nil, "Mount"},
		{"and not before", begun + spec, "10.0.0.1 web#0:running", mounted(time.Minute), nil, "Write Running, Wait 1m0s"},
		{"what has changed is shown", begun + spec, "10.0.0.1 web#0:running", volume.State{Mounted: true, Exist: true, Changed: true}, nil, "Mount"},
		{"a container is started again though that fails", begun + spec, "10.0.0.1 web#0:exit1", mounted(0), both(imaged("web"), failed("Mount", "", 0, 4*time.Second)), "Start web#1, Wait 4s"},
		{"a finished pod needs none", "spec: {restartPolicy: Never, volumes: [{name: v}], containers: [{name: web}]}\nstatus: {phase: Succeeded}", "10.0.0.1 web#0:exit0", mounted(0), nil, "Write Succeeded, Unmount, DetachNetwork"},
		{"they go after the sandbox", deleted(time.Second) + spec, "", mounted(0), nil, "Unmount"},
		{"and before the Pod", deleted(time.Second) + spec, "", volume.State{}, nil, "DeletePod"},
	} {
		v := View{Pod: parsePod(t, row.pod), Sandbox: parseBox(t, row.box), Memory: newMemory(), Volumes: row.volumes}
		if row.memory != nil {
			row.memory(&v.Memory)
		}
		if got := tell(Plan(v, now)); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

func both(a, b func(*Memory)) func(*Memory) { return func(m *Memory) { a(m); b(m) } }
