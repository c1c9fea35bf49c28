package real

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

// needsRoot skips loudly where real containers cannot run.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 || os.Getenv("OPTIMIST_NO_ROOT") != "" || testing.Short() {
		t.Skip("SKIPPED: needs root and containerd (run make test as root)")
	}
	for _, program := range []string{"containerd", "runc", "ip", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("SKIPPED: needs", program, "(.ci/install test)")
		}
	}
}

func up(t *testing.T, flags ...string) *Cluster {
	t.Helper()
	c := bare(t)
	if err := c.Up(flags...); err != nil {
		t.Fatal(err)
	}
	return c
}

func bare(t *testing.T) *Cluster { t.Helper(); return ground(t, "t", func(string) {}) }

// ground is what a cluster, or a machine that joins one, stands on: a network namespace, wired by the test. When the test is over nothing must be left
// but that.
func ground(t *testing.T, prefix string, wire func(ns string)) *Cluster {
	t.Helper()
	needsRoot(t)
	c, err := New(prefix)
	if err != nil {
		t.Fatal(err)
	}
	wire(c.netns) // before its traces are taken
	before := c.traces(t)
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := exec.Command("bash", "-c", "tail -n 20 "+c.Root()+"/logs/*.log").CombinedOutput()
			t.Logf("%s", logs)
		}
		if _, err := os.Stat(c.Root()); err == nil { // it may have left the cluster
			if _, err := c.Ctl("down", "--yes", "--name", c.Name); err != nil {
				t.Error(err)
			}
		}
		if after := c.traces(t); !slices.Equal(after, before) {
			t.Errorf("something was left behind:\n%s\nbefore:\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// traces is what the machine shows of this cluster: everything of its network namespace, and elsewhere whatever bears its name (other tests
// may run beside this one).
func (c *Cluster) traces(t *testing.T) (lines []string) {
	t.Helper()
	out, err := c.Command(context.Background(), "./snapshot.sh").CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	section := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "== "); ok {
			section = name
		}
		network := slices.Contains([]string{"links", "routes", "nft", "forwarding"}, section)
		if network || strings.Contains(line, c.Name) && !strings.Contains(line, c.netns) {
			lines = append(lines, line)
		}
	}
	return lines
}

func (c *Cluster) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.Ctl(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (c *Cluster) pods(t *testing.T, selector string) []corev1.Pod {
	t.Helper()
	var list struct{ Items []json.RawMessage }
	decode(t, c.must(t, "get", "pods", "-l", selector, "-o", "yaml"), &list)
	var pods []corev1.Pod
	for _, item := range list.Items {
		var p corev1.Pod
		if err := json.Unmarshal(item, &p); err != nil {
			t.Fatal(err)
		}
		pods = append(pods, p)
	}
	return pods
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

func eventually(t *testing.T, patience time.Duration, ok func() (bool, string)) {
	t.Helper()
	if err := Eventually(patience, ok); err != nil {
		t.Fatal(err)
	}
}

// ready reports whether all pods of a selector run, and how many there are.
func (c *Cluster) ready(t *testing.T, selector string, want int) (bool, string) {
	t.Helper()
	n := 0
	for _, p := range c.pods(t, selector) {
		if api.PodReady(&p) && p.DeletionTimestamp == nil {
			n++
		}
	}
	return n == want, strconv.Itoa(n) + " pods are ready, not " + strconv.Itoa(want)
}

const web = Top + "/examples/web.yaml"

// What the demo shows, and what a learner tries next.
func TestDemo(t *testing.T) {
	c := up(t)
	c.must(t, "apply", "-f", web)
	c.must(t, "rollout", "status", "deployment/web")
	pods := c.pods(t, "app=web")
	if len(pods) != 3 {
		t.Fatalf("%d pods, want 3", len(pods))
	}
	for _, p := range pods {
		body, err := c.Get(p.Status.PodIP, "/")
		if err != nil || !strings.Contains(body, p.Name) {
			t.Errorf("pod %s answered %q (%v)", p.Name, body, err)
		}
		if env, err := c.Get(p.Status.PodIP, "/env"); err != nil || !strings.Contains(env, "GREETING=Fair winds") || !strings.Contains(env, "NODE=n1") {
			t.Errorf("its environment lacks what the ConfigMap and the field say: %q (%v)", env, err)
		}
	}
	t.Run("a killed container is restarted in place", func(t *testing.T) { killContainer(t, c, pods[0]) })
	t.Run("a deleted pod is replaced", func(t *testing.T) {
		c.must(t, "delete", "pod", pods[1].Name)
		eventually(t, 30*time.Second, func() (bool, string) { return c.ready(t, "app=web", 3) })
	})
	t.Run("a new image is rolled out and back", func(t *testing.T) { rollOut(t, c) })
	t.Run("exec and logs", func(t *testing.T) {
		pod := c.pods(t, "app=web")[0].Name
		if out := c.must(t, "logs", pod); !strings.Contains(out, "listens on port 8080") {
			t.Errorf("logs: %q", out)
		}
		c.must(t, "apply", "-f", Top+"/examples/init.yaml")
		eventually(t, 30*time.Second, func() (bool, string) {
			out, err := c.Ctl("exec", "init", "--", "sh", "-c", "echo here; exit 7")
			return err != nil && strings.Contains(out, "here") && strings.Contains(err.Error(), "exit status 7"), out
		})
		if out := c.must(t, "logs", "init", "-c", "second"); out != "open\n" {
			t.Errorf("the second init container printed %q", out)
		}
	})
	t.Run("memory over the limit", func(t *testing.T) {
		c.must(t, "apply", "-f", Top+"/e2e/vm/oom.yaml")
		eventually(t, time.Minute, func() (bool, string) {
			out := c.must(t, "get", "pod", "oom", "-o", "yaml")
			return strings.Contains(out, "reason: OOMKilled") && strings.Contains(out, "exitCode: 137"), out
		})
	})
	t.Run("stop and start keep everything", func(t *testing.T) {
		c.must(t, "stop", "--name", c.Name)
		if pids, err := c.PIDs(); err != nil || len(pids) > 1 {
			t.Errorf("after stop these are on record: %v (%v)", pids, err)
		}
		c.must(t, "start", "--name", c.Name)
		eventually(t, time.Minute, func() (bool, string) { return c.ready(t, "app=web", 3) })
	})
	t.Run("a second up changes nothing", func(t *testing.T) {
		if out := c.must(t, "up", "--name", c.Name); !strings.Contains(out, "runs already") {
			t.Errorf("it said %q", out)
		}
	})
}

func killContainer(t *testing.T, c *Cluster, p corev1.Pod) {
	pid := containerPID(t, p)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func() (bool, string) {
		var now corev1.Pod
		decode(t, c.must(t, "get", "pod", p.Name, "-o", "yaml"), &now)
		s := now.Status.ContainerStatuses[0]
		return s.RestartCount == 1 && s.State.Running != nil && now.Status.PodIP == p.Status.PodIP &&
			s.LastTerminationState.Terminated != nil && s.LastTerminationState.Terminated.ExitCode == 137, "restarts " + strconv.Itoa(int(s.RestartCount))
	})
}

// containerPID finds a process in the pod's cgroup.
func containerPID(t *testing.T, p corev1.Pod) int {
	t.Helper()
	procs, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, file := range procs {
		data, _ := os.ReadFile(file)
		if strings.Contains(string(data), string(p.UID)) {
			pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
			return pid
		}
	}
	t.Fatalf("no process of pod %s found", p.Name)
	return 0
}

func rollOut(t *testing.T, c *Cluster) {
	manifest, err := os.ReadFile(web)
	if err != nil {
		t.Fatal(err)
	}
	lowest := c.watchLowest(t)
	second := strings.ReplaceAll(string(manifest), "optimist/web:1", "optimist/web:2")
	if out, err := c.CtlContext(t.Context(), second, "apply", "-f", "-"); err != nil || !strings.Contains(out, "deployment.apps/web configured") {
		t.Fatal(out, err)
	}
	c.must(t, "rollout", "status", "deployment/web")
	c.everyPodSays(t, "2")
	c.must(t, "rollout", "undo", "deployment/web")
	c.must(t, "rollout", "status", "deployment/web")
	c.everyPodSays(t, "1")
	if n := lowest(); n < 3 { // 25 % of 3, rounded down, may be unavailable: none
		t.Errorf("only %d pods were available at one time", n)
	}
}

func (c *Cluster) everyPodSays(t *testing.T, version string) {
	t.Helper()
	eventually(t, 30*time.Second, func() (bool, string) {
		for _, p := range c.pods(t, "app=web") {
			body, err := c.Get(p.Status.PodIP, "/")
			if err != nil || !strings.Contains(body, "version="+version+" ") {
				return false, fmt.Sprintf("%s answers %q (%v)", p.Name, body, err)
			}
		}
		return c.ready(t, "app=web", 3)
	})
}

// watchLowest notes the smallest number of available replicas that the deployment's status shows until the result is asked for.
func (c *Cluster) watchLowest(t *testing.T) func() int {
	t.Helper()
	stop, lowest := make(chan struct{}), make(chan int)
	go func() {
		low := 1 << 20
		for {
			select {
			case <-stop:
				lowest <- low
				return
			default:
			}
			out, err := c.Ctl("get", "deployment", "web", "--no-headers")
			if f := strings.Fields(out); err == nil && len(f) > 3 {
				if n, err := strconv.Atoi(f[3]); err == nil {
					low = min(low, n)
				}
			}
		}
	}()
	return func() int { close(stop); return <-lowest }
}
