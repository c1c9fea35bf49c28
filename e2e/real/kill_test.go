package real

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Every process is killed in turn in the middle of a rollout. The rollout ends right each time, no container is started
// again because of it, and nothing is there twice.
func TestKillEveryProcess(t *testing.T) {
	c := up(t)
	manifest, err := os.ReadFile(web)
	if err != nil {
		t.Fatal(err)
	}
	c.must(t, "apply", "-f", web)
	c.must(t, "rollout", "status", "deployment/web")
	pids, err := c.PIDs()
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Join(strings.Fields(c.must(t, "part", "list", "--name", c.Name)), " ")
	for name, pid := range pids {
		if !strings.Contains(list, name+" runs "+strconv.Itoa(pid)) {
			t.Errorf("ctl part list knows no %s with pid %d: %s", name, pid, list)
		}
	}

	// What does not take part in the rollouts must not notice anything.
	c.must(t, "apply", "-f", "testdata/bystander.yaml")
	eventually(t, time.Minute, func() (bool, string) { return c.ready(t, "app=bystander", 1) })
	bystander := c.pods(t, "app=bystander")[0]

	version := 1
	for _, victim := range []string{"apiserver", "scheduler", "controllers", "agent-n1", "containerd", "supervisor"} {
		t.Run(victim, func(t *testing.T) {
			version = 3 - version
			text := strings.ReplaceAll(string(manifest), "optimist/web:1", "optimist/web:"+string(rune('0'+version)))
			if out, err := c.CtlContext(t.Context(), text, "apply", "-f", "-"); err != nil {
				t.Fatal(out, err)
			}
			pids, err := c.PIDs()
			if err != nil || pids[victim] == 0 {
				t.Fatalf("no pid of %s in %v (%v)", victim, pids, err)
			}
			if err := syscall.Kill(pids[victim], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if victim == "supervisor" {
				eventually(t, 10*time.Second, func() (bool, string) { return syscall.Kill(pids[victim], 0) != nil, "it lives" })
				if out := c.must(t, "start", "--name", c.Name); strings.Contains(out, "runs already") {
					t.Fatal(out)
				}
				adopted, err := c.PIDs()
				if err != nil {
					t.Fatal(err)
				}
				for name, pid := range adopted {
					if name != "supervisor" && pid != pids[name] {
						t.Errorf("%s was pid %d and is now %d: it was not adopted", name, pids[name], pid)
					}
				}
			}
			eventually(t, time.Minute, func() (bool, string) {
				out, err := c.Ctl("rollout", "status", "deployment/web", "--timeout=20s")
				return err == nil, out
			})
			c.everyPodSays(t, string(rune('0'+version)))
			eventually(t, time.Minute, func() (bool, string) {
				all := c.pods(t, "app=web")
				return len(all) == 3, "the old pods are not gone"
			})
			for _, p := range c.pods(t, "app=web") {
				n, last := p.Status.ContainerStatuses[0].RestartCount, p.Status.ContainerStatuses[0].LastTerminationState.Terminated
				broken := victim == "containerd" && n == 1 && last != nil && last.Reason == "StartError" // a start that died with containerd: it never ran
				if n != 0 && !broken {
					t.Errorf("pod %s was restarted %d times, last after %+v", p.Name, n, last)
				}
			}
			c.oneTaskEach(t)
		})
	}
	now := c.pods(t, "app=bystander")[0]
	was, is := bystander.Status.ContainerStatuses[0], now.Status.ContainerStatuses[0]
	if now.UID != bystander.UID || is.RestartCount != 0 || was.ContainerID != is.ContainerID || !was.State.Running.StartedAt.Equal(&is.State.Running.StartedAt) {
		t.Errorf("the bystander was disturbed: %+v, before %+v", is, was)
	}
	// It printed a number every tenth of a second all the while: none may be missing, whoever was dead.
	lines := strings.Fields(c.must(t, "logs", now.Name))
	for i, line := range lines {
		if want := i + 1; line != strconv.Itoa(want) {
			t.Fatalf("line %d of its log is %q", want, line)
		}
	}
	if len(lines) < 50 {
		t.Errorf("only %d lines of its log", len(lines))
	}
}

// oneTaskEach compares the processes in pods' cgroups with the pods: none too many, none missing.
func (c *Cluster) oneTaskEach(t *testing.T) { t.Helper(); c.tasks(t, "app in (web, bystander)") }

func (c *Cluster) tasks(t *testing.T, selector string) {
	t.Helper()
	eventually(t, 30*time.Second, func() (bool, string) {
		var uids []string
		for _, p := range c.pods(t, selector) {
			if p.Status.Phase == corev1.PodRunning {
				uids = append(uids, string(p.UID))
			}
		}
		found := podsWithProcesses(c.Name)
		slices.Sort(uids)
		return slices.Equal(uids, found), strings.Join(found, " ") + " have processes; the API says " + strings.Join(uids, " ")
	})
}

// podsWithProcesses are the uids of the pods in whose cgroups something runs, sorted.
func podsWithProcesses(cluster string) (uids []string) {
	procs, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, file := range procs {
		data, _ := os.ReadFile(file)
		_, path, ours := strings.Cut(string(data), "/optimist-"+cluster+"-n")
		_, path, _ = strings.Cut(path, "/")
		uid := strings.FieldsFunc(strings.TrimPrefix(path, "pod"), func(r rune) bool { return r == '.' || r == '/' || r == '\n' })
		if ours && !slices.Contains(uids, uid[0]) {
			uids = append(uids, uid[0])
		}
	}
	slices.Sort(uids)
	return uids
}
