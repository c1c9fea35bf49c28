package real

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A Deployment on three nodes answers by its Service's name from pods on each of them; also while the API server is away, and when a node is cut
// off. No packet to a Service's address ever leaves by the machine's link to the outside.
func TestServices(t *testing.T) {
	began := time.Now()
	c := up(t, "--nodes", "3")
	c.watchOutside(t)
	c.must(t, "apply", "-f", three)
	c.must(t, "rollout", "status", "deployment/three", "--timeout=60s")
	first := c.pods(t, "app=three")
	eventually(t, 20*time.Second, func() (bool, string) {
		out, err := c.asks(t, first[0], "-timeout", "1s", "three")
		return err == nil, out
	})
	t.Logf("from nothing to an answer by name: %.1f s, images included", time.Since(began).Seconds())

	t.Run("from pods on each node, by name, TCP and UDP", func(t *testing.T) {
		c.spread(t, "n1", "n2", "n3")
		for _, p := range first {
			for _, how := range [][]string{{"three"}, {"three.default.svc.cluster.local:80/"}, {"-udp", "three:80"}} {
				out, err := c.asks(t, p, append([]string{"-count", "80", "-timeout", "2s"}, how...)...)
				if err != nil {
					t.Errorf("from %s, %v: %v\n%s", p.Spec.NodeName, how, err, out)
				}
				for _, other := range first {
					if !strings.Contains(out, other.Name) {
						t.Errorf("from %s, %v: %s on %s never answered:\n%s", p.Spec.NodeName, how, other.Name, other.Spec.NodeName, out)
					}
				}
			}
		}
	})

	t.Run("by every node's port", func(t *testing.T) {
		var s corev1.Service
		decode(t, c.must(t, "get", "service", "three", "-o", "yaml"), &s)
		for node, m := range c.config(t).Members {
			target := fmt.Sprintf("%s/%d", m.Address, s.Spec.Ports[0].NodePort)
			if out, err := c.Command(t.Context(), "timeout", "5", "bash", "-c", "exec 3<>/dev/tcp/"+target+"; printf 'GET / HTTP/1.0\r\n\r\n' >&3; grep host <&3").CombinedOutput(); err != nil {
				t.Errorf("%s of %s: %v %s", target, node, err, out)
			}
		}
	})

	t.Run("while the API server is away", func(t *testing.T) {
		pids, err := c.PIDs()
		if err != nil {
			t.Fatal(err)
		}
		away := 10 * time.Second
		if os.Getenv("OPTIMIST_LONG") != "" {
			away = time.Minute
		}
		if err := syscall.Kill(pids["supervisor"], syscall.SIGSTOP); err != nil { // it would start another
			t.Fatal(err)
		}
		defer syscall.Kill(pids["supervisor"], syscall.SIGCONT)
		if err := syscall.Kill(pids["apiserver"], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for _, p := range first[:2] {
			if out, err := c.asks(t, p, "-for", (away / 2).String(), "-every", "50ms", "-timeout", "1s", "three"); err != nil {
				t.Errorf("from %s: %v\n%s", p.Spec.NodeName, err, out)
			}
		}
		if _, err := c.Ctl("get", "nodes"); err == nil {
			t.Error("the API server was there all the time: this shows nothing")
		}
	})

	t.Run("a node cut off", func(t *testing.T) {
		eventually(t, time.Minute, func() (bool, string) { return c.nodeReady(t, "n2") })
		c.must(t, "node", "cut", "n2", "--name", c.Name)
		lost := first[slices.IndexFunc(first, on("n2"))]
		from := first[slices.IndexFunc(first, on("n1"))]
		eventually(t, 2*time.Minute, func() (bool, string) { // its grace, then the tolerance
			live := slices.DeleteFunc(c.pods(t, "app=three"), func(p corev1.Pod) bool { return p.DeletionTimestamp != nil || p.Spec.NodeName == "n2" })
			return len(live) == 3, "not replaced yet: " + c.must(t, "get", "pods", "-o", "wide")
		})
		eventually(t, 30*time.Second, func() (bool, string) {
			out, err := c.asks(t, from, "-count", "60", "-timeout", "1s", "three")
			return err == nil && !strings.Contains(out, lost.Name), out
		})
		c.must(t, "node", "heal", "n2", "--name", c.Name)
		eventually(t, time.Minute, func() (bool, string) { return c.nodeReady(t, "n2") })
		eventually(t, time.Minute, func() (bool, string) { return len(c.pods(t, "app=three")) == 3, "the old pod is still there" })
		c.tasks(t, "app=three")
		for _, p := range c.pods(t, "app=three") {
			if out, err := c.asks(t, p, "-count", "30", "-timeout", "2s", "three"); err != nil || strings.Contains(out, lost.Name) {
				t.Errorf("from %s: %v\n%s", p.Spec.NodeName, err, out)
			}
		}
	})
}

// asks runs the client of the web image in a pod, without help of the API server. `three` is its Service.
func (c *Cluster) asks(t *testing.T, p corev1.Pod, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := c.In(ctx, containerPID(t, p), "/web", append([]string{"ask"}, args...)...).CombinedOutput()
	return string(out), err
}

// watchOutside gives the cluster's network namespace a way out, so that packets could leave, and counts at the end of the test which did. The link leads nowhere.
func (c *Cluster) watchOutside(t *testing.T) {
	t.Helper()
	run := func(program string, args ...string) string {
		out, err := c.Command(context.Background(), program, args...).CombinedOutput()
		if err != nil {
			t.Error(program, args, err, string(out))
		}
		return string(out)
	}
	const watcher = "add table ip watcher; add chain ip watcher out { type filter hook postrouting priority 300; };" +
		`add rule ip watcher out oifname "outside" ip daddr %s counter comment "services"; add rule ip watcher out oifname "outside" ip daddr 203.0.113.7 counter comment "world"`
	run("ip", "neighbour", "add", "172.31.255.2", "lladdr", "02:00:00:00:00:01", "dev", "outside")
	run("ip", "route", "add", "default", "via", "172.31.255.2", "dev", "outside")
	run("nft", fmt.Sprintf(watcher, c.config(t).ServiceCIDR))
	t.Cleanup(func() {
		for _, p := range c.pods(t, "app=three")[:1] { // what the counter can see: one packet from a pod, to an address that is nobody's
			_ = c.In(context.Background(), containerPID(t, p), "/web", "ask", "-udp", "-timeout", "100ms", "203.0.113.7:9").Run()
			_ = c.In(context.Background(), containerPID(t, p), "/web", "ask", "-timeout", "100ms", c.config(t).ServiceCIDR.Addr().Next().Next().Next().String()+":9").Run()
		}
		for line := range strings.Lines(run("nft", "list", "table", "ip", "watcher")) {
			_, count, ok := strings.Cut(line, "counter packets ")
			packets, _ := strconv.Atoi(strings.Fields(count + " x")[0])
			if ok && strings.Contains(line, "services") != (packets == 0) {
				t.Errorf("packets have left, or the counter counts nothing: %s", line)
			}
		}
		run("nft", "delete", "table", "ip", "watcher")
		run("ip", "route", "del", "default")
		run("ip", "neighbour", "del", "172.31.255.2", "dev", "outside")
	})
}

// In is a program in the namespaces of a container's process: a command in a pod, run without any help.
func (c *Cluster) In(ctx context.Context, pid int, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net", "--mount", "--uts", "--target=" + strconv.Itoa(pid), program}, args...)...)
}
