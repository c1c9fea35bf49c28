package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/network"
	"optimist/internal/api"
)

// summary is a pod's status in one line: phase, restarts and state of each container.
func summary(pod *corev1.Pod) string {
	words := []string{string(pod.Status.Phase)}
	if pod.Status.Reason != "" {
		words = append(words, pod.Status.Reason)
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		word := fmt.Sprintf("%s#%d:", c.Name, c.RestartCount)
		switch {
		case c.State.Running != nil:
			word += "Running"
		case c.State.Terminated != nil:
			word += fmt.Sprintf("%s(%d)", c.State.Terminated.Reason, c.State.Terminated.ExitCode)
		case c.State.Waiting != nil:
			word += c.State.Waiting.Reason
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestLivesOfPods(t *testing.T) {
	for _, row := range []struct {
		name, spec string
		at         []moment
	}{
		{"a pod that does its work succeeds", `{restartPolicy: Never, containers: [{name: job, image: busybox, args: ["sim:after=5s"]}]}`,
			[]moment{{time.Second, "Running job#0:Running"}, {5 * time.Second, "Succeeded job#0:Completed(0)"}}},
		{"a pod that fails under Never stays failed", `{restartPolicy: Never, containers: [{name: job, image: busybox, args: ["sim:exit=3"]}]}`,
			[]moment{{time.Second, "Failed job#0:Error(3)"}}},
		{"OnFailure starts again until it succeeds, and not after", `{restartPolicy: OnFailure, containers: [{name: job, image: busybox, args: ["sim:exit=0", "sim:after=2s"]}]}`,
			[]moment{{3 * time.Second, "Succeeded job#0:Completed(0)"}, {time.Hour, "Succeeded job#0:Completed(0)"}}},
		{"a crash is forgiven once, then backed off: 10 s, 20 s", `{containers: [{name: c, image: busybox, args: ["sim:crash-every=1s"]}]}`,
			[]moment{{500 * time.Millisecond, "Running c#0:Running"}, {time.Second, "Running c#1:Running"}, {time.Second, "Running c#1:CrashLoopBackOff"},
				{10 * time.Second, "Running c#2:Running"}, {time.Second, "Running c#2:CrashLoopBackOff"}, {20 * time.Second, "Running c#3:Running"}}},
		{"who runs for ten minutes starts a new streak", `{containers: [{name: c, image: busybox, args: ["sim:crash-every=10m"]}]}`,
			[]moment{{10*time.Minute + time.Second, "Running c#1:Running"}, {10 * time.Minute, "Running c#2:Running"}, {10 * time.Minute, "Running c#3:Running"}}},
		{"a container killed for want of memory says so", `{restartPolicy: Never, containers: [{name: c, image: busybox, args: ["sim:oom"]}]}`,
			[]moment{{time.Second, "Failed c#0:OOMKilled(137)"}}},
		{"an image that nobody has is pulled again later", `{containers: [{name: c, image: "example.test/missing"}]}`,
			[]moment{{time.Second, "Pending c#0:ErrImagePull"}, {2 * time.Second, "Pending c#0:ImagePullBackOff"}, {7 * time.Second, "Pending c#0:ErrImagePull"}}},
		{"Never pull means never", `{containers: [{name: c, image: nginx, imagePullPolicy: Never}]}`,
			[]moment{{time.Second, "Pending c#0:ErrImageNeverPull"}}},
		{"a name that is none", `{containers: [{name: c, image: "UPPER/Case"}]}`,
			[]moment{{time.Second, "Pending c#0:InvalidImageName"}}},
		{"a slow pull shows that the container is being created", `{containers: [{name: c, image: slow}]}`,
			[]moment{{5 * time.Second, "Pending c#0:ContainerCreating"}, {6 * time.Second, "Running c#0:Running"}}},
		{"one bad image does not hold the others up", `{containers: [{name: a, image: "x/missing"}, {name: b, image: nginx}]}`,
			[]moment{{time.Second, "Pending a#0:ErrImagePull b#0:Running"}}},
		{"a command that does not exist cannot run", `{containers: [{name: c, image: nginx, command: [/missing]}]}`,
			[]moment{{time.Second, "Running c#1:CrashLoopBackOff"}}},
		{"a ConfigMap that misses is waited for", `{containers: [{name: c, image: nginx, envFrom: [{configMapRef: {name: settings}}]}]}`,
			[]moment{{time.Second, "Pending c#0:CreateContainerConfigError"}}},
		{"a ConfigMap that a volume misses is waited for", `{volumes: [{name: v, configMap: {name: settings}}], containers: [{name: c, image: nginx}]}`,
			[]moment{{time.Second, "Pending c#0:ContainerCreating"}, {time.Minute, "Pending c#0:ContainerCreating"}}},
		{"an optional one is not", `{volumes: [{name: v, configMap: {name: settings, optional: true}}, {name: e, emptyDir: {}}], containers: [{name: c, image: nginx, volumeMounts: [{name: v, mountPath: /v}]}]}`,
			[]moment{{time.Second, "Running c#0:Running"}}},
		{"init containers run one after the other", `{initContainers: [{name: i, image: nginx, args: ["sim:after=2s"]}, {name: j, image: nginx, args: ["sim:after=2s"]}], containers: [{name: c, image: nginx}]}`,
			[]moment{{time.Second, "Pending i#0:Running j#0:PodInitializing c#0:PodInitializing"}, {2 * time.Second, "Pending i#0:Completed(0) j#0:Running c#0:PodInitializing"},
				{2 * time.Second, "Running i#0:Completed(0) j#0:Completed(0) c#0:Running"}}},
		{"an init container that fails under Never fails the pod", `{restartPolicy: Never, initContainers: [{name: i, image: nginx, args: ["sim:exit=1"]}], containers: [{name: c, image: nginx}]}`,
			[]moment{{time.Second, "Failed i#0:Error(1) c#0:PodInitializing"}}},
		{"a sidecar stays while the work lasts and then goes", `{restartPolicy: Never, initContainers: [{name: s, image: nginx, restartPolicy: Always}], containers: [{name: c, image: nginx, args: ["sim:after=5s"]}]}`,
			[]moment{{time.Second, "Running s#0:Running c#0:Running"}, {5 * time.Second, "Succeeded s#0:Completed(0) c#0:Completed(0)"}}},
		{"activeDeadlineSeconds end a pod", `{activeDeadlineSeconds: 5, containers: [{name: c, image: nginx}]}`,
			[]moment{{4 * time.Second, "Running c#0:Running"}, {2 * time.Second, "Failed DeadlineExceeded c#0:Completed(0)"}}},
		{"a container that is slow to start is being created", `{containers: [{name: c, image: nginx, args: ["sim:start-after=5s"]}]}`,
			[]moment{{time.Second, "Pending c#0:ContainerCreating"}, {5 * time.Second, "Running c#0:Running"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			inCluster(t, func(c *cluster) {
				defer c.agent(c.runtime)()
				c.create(`{metadata: {name: p}, spec: ` + row.spec + `}`)
				for i, m := range row.at {
					advance(m.after)
					if got := summary(c.pod("p")); got != m.want {
						t.Errorf("moment %d: %s, want %s", i, got, m.want)
					}
				}
			})
		})
	}
}

// moment is what a pod looks like some time after the moment before.
type moment struct {
	after time.Duration
	want  string
}

// Finalizers outlive containers. While they do, the agent has nothing to say; it once said so again and again, without a pause.
func TestAFinalizerKeepsADeletedPodAndTheAgentQuiet(t *testing.T) {
	inCluster(t, func(c *cluster) {
		defer c.agent(c.runtime)()
		pod := c.create(`{metadata: {name: p, finalizers: [example.com/backup]}, spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: nginx}]}}`)
		advance(time.Second)
		if err := api.Pods.Delete(c.Context(), c.service, api.KeyOf(pod), api.Options{}); err != nil {
			c.Fatal(err)
		}
		advance(time.Minute)
		held := c.pod("p")
		if summary(held) != "Succeeded c#0:Completed(0)" || *held.DeletionGracePeriodSeconds != 0 {
			t.Errorf("%s, %d s of grace", summary(held), *held.DeletionGracePeriodSeconds)
		}
		advance(time.Hour)
		if later := c.pod("p"); later.ResourceVersion != held.ResourceVersion {
			t.Errorf("it was written again: %s, then %s", held.ResourceVersion, later.ResourceVersion)
		}
		released := held.DeepCopy()
		released.Finalizers = nil
		if _, err := api.Pods.Update(t.Context(), c.service, released); err != nil {
			t.Fatal(err)
		}
		advance(time.Second)
		if boxes, err := c.runtime.State(t.Context()); err != nil || len(boxes) > 0 {
			t.Error(boxes, err)
		}
	})
}

func TestAConfigMapThatComesLaterHelps(t *testing.T) {
	inCluster(t, func(c *cluster) {
		defer c.agent(c.runtime)()
		c.create(`{metadata: {name: p}, spec: {containers: [{name: c, image: nginx, env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: a}}}]}]}}`)
		advance(time.Second)
		if got := c.pod("p").Status.ContainerStatuses[0].State.Waiting.Message; got != `configmap "settings" not found` {
			t.Errorf("message = %s", got)
		}
		var settings corev1.ConfigMap
		settings.Namespace, settings.Name, settings.Data = "default", "settings", map[string]string{"b": "1"}
		made, err := api.ConfigMaps.Create(c.Context(), c.service, &settings)
		if err != nil {
			t.Fatal(err)
		}
		advance(10 * time.Second)
		if got := c.pod("p").Status.ContainerStatuses[0].State.Waiting.Message; got != "couldn't find key a in ConfigMap default/settings" {
			t.Errorf("message = %s", got)
		}
		made = made.DeepCopy()
		made.Data["a"] = "x"
		if _, err := api.ConfigMaps.Update(c.Context(), c.service, made); err != nil {
			t.Fatal(err)
		}
		advance(21 * time.Second)
		if got := summary(c.pod("p")); got != "Running c#0:Running" {
			t.Errorf("status = %s", got)
		}
	})
}

func TestAGracePeriodIsKeptAndCanBeShortened(t *testing.T) {
	inCluster(t, func(c *cluster) {
		defer c.agent(c.runtime)()
		pod := c.create(`{metadata: {name: p}, spec: {terminationGracePeriodSeconds: 60, containers: [{name: c, image: nginx, args: ["sim:ignore-term"]}]}}`)
		advance(time.Second)
		if err := api.Pods.Delete(c.Context(), c.service, api.KeyOf(pod), api.Options{}); err != nil {
			t.Fatal(err)
		}
		advance(30 * time.Second)
		if got := summary(c.pod("p")); got != "Running c#0:Running" {
			t.Fatalf("within its grace: %s", got)
		}
		five := int64(5)
		if err := api.Pods.Delete(c.Context(), c.service, api.KeyOf(pod), api.Options{Grace: &five}); err != nil {
			t.Fatal(err)
		}
		advance(6 * time.Second)
		if _, err := api.Pods.Get(c.Context(), c.service, api.KeyOf(pod)); !apierrors.IsNotFound(err) {
			t.Errorf("after the shorter grace: %v", err)
		}
	})
}

func TestAPodDeletedByForceLeavesNothing(t *testing.T) {
	inCluster(t, func(c *cluster) {
		defer c.agent(c.runtime)()
		pod := c.create(`{metadata: {name: p}, spec: {containers: [{name: c, image: nginx}]}}`)
		advance(time.Second)
		none := int64(0)
		if err := api.Pods.Delete(c.Context(), c.service, api.KeyOf(pod), api.Options{Grace: &none}); err != nil {
			t.Fatal(err)
		}
		advance(5 * time.Second)
		if state, _ := c.runtime.State(c.Context()); len(state) != 0 {
			t.Errorf("left over: %+v", state)
		}
	})
}

func TestABackOffOutlivesTheAgent(t *testing.T) {
	inCluster(t, func(c *cluster) {
		kill := c.agent(c.runtime)
		c.create(`{metadata: {name: p}, spec: {containers: [{name: c, image: nginx, args: ["sim:exit=1"]}]}}`)
		advance(35 * time.Second) // 0 s, 10 s, 30 s: the next is due at 70 s
		kill()
		defer c.agent(c.runtime)()
		for _, m := range []moment{{30 * time.Second, "Running c#3:CrashLoopBackOff"}, {6 * time.Second, "Running c#4:CrashLoopBackOff"}} {
			advance(m.after)
			if got := summary(c.pod("p")); got != m.want {
				t.Errorf("%s, want %s", got, m.want)
			}
		}
	})
}

func TestAContainerFollowsItsImage(t *testing.T) {
	inCluster(t, func(c *cluster) {
		defer c.agent(c.runtime)()
		pod := c.create(`{metadata: {name: p}, spec: {containers: [{name: c, image: "nginx:1"}]}}`)
		advance(time.Second)
		patch := []byte(`{"spec": {"containers": [{"name": "c", "image": "nginx:2"}]}}`)
		if _, err := api.Pods.Patch(c.Context(), c.service, api.KeyOf(pod), "", types.StrategicMergePatchType, patch); err != nil {
			t.Fatal(err)
		}
		advance(time.Second)
		if got := c.pod("p").Status.ContainerStatuses[0]; got.Image != "nginx:2" || got.State.Running == nil || got.RestartCount != 1 {
			t.Errorf("status = %+v", got)
		}
	})
}

func TestARestartedNodeKeepsItsAddresses(t *testing.T) {
	inCluster(t, func(c *cluster) {
		kill := c.agent(c.runtime)
		c.create(`{metadata: {name: p}, spec: {containers: [{name: c, image: nginx}]}}`)
		advance(time.Second)
		before := c.pod("p").Status.PodIP
		kill()
		c.network = &network.Loopback{} // a new process remembers nothing
		defer c.agent(c.runtime)()
		c.create(`{metadata: {name: q}, spec: {containers: [{name: c, image: nginx}]}}`)
		advance(time.Second)
		if after, other := c.pod("p").Status.PodIP, c.pod("q").Status.PodIP; after != before || other == before || other == "" {
			t.Errorf("p had %s, has %s; q has %s", before, after, other)
		}
	})
}

func TestEventsTellThePodsStory(t *testing.T) {
	inCluster(t, func(c *cluster) {
		defer c.agent(c.runtime)()
		pod := c.create(`{metadata: {name: p}, spec: {containers: [{name: c, image: "nginx:1", args: ["sim:crash-every=1s"]}, {name: d, image: "x/missing:1"}]}}`)
		advance(5 * time.Second)
		if err := api.Pods.Delete(c.Context(), c.service, api.KeyOf(pod), api.Options{}); err != nil {
			t.Fatal(err)
		}
		advance(time.Second)
		list, err := api.Events.List(c.Context(), c.service, "default", api.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		told := map[string]bool{}
		for _, e := range list {
			told[e.Type+" "+e.Reason+" "+e.Message] = true
		}
		for _, want := range []string{
			`Normal Pulling Pulling image "nginx:1"`,
			`Normal Pulling Pulling image "x/missing:1"`,
			`Normal Pulled Container image "nginx:1" already present on machine`,
			`Normal Created Created container: c`,
			`Normal Started Started container c`,
			`Warning BackOff Back-off restarting failed container c in pod p_default(` + string(pod.UID) + `)`,
			`Warning Failed Failed to pull image "x/missing:1": pull x/missing:1: image not found`,
			`Warning Failed Error: ErrImagePull`,
			`Normal BackOff Back-off pulling image "x/missing:1"`,
			`Warning Failed Error: ImagePullBackOff`,
		} {
			if !told[want] {
				t.Errorf("nobody said: %s", want)
			}
			delete(told, want)
		}
		for rest := range told {
			if !strings.HasPrefix(rest, "Normal Pulled Successfully pulled image") {
				t.Errorf("unexpected: %s", rest)
			}
		}
	})
}

func TestASandboxThatDiesIsReplaced(t *testing.T) {
	inCluster(t, func(c *cluster) {
		kill := c.agent(c.runtime)
		pod := c.create(`{metadata: {name: p}, spec: {initContainers: [{name: i, image: nginx, args: ["sim:exit=0"]}], containers: [{name: c, image: nginx}]}}`)
		advance(time.Second)
		kill()
		if err := c.runtime.RemoveSandbox(c.Context(), pod.UID); err != nil {
			t.Fatal(err)
		}
		defer c.agent(c.runtime)()
		advance(time.Second)
		if got := summary(c.pod("p")); got != "Running i#1:Completed(0) c#1:Running" {
			t.Errorf("status = %s", got)
		}
	})
}
