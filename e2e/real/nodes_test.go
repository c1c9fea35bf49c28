package real

import (
	"context"
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

const three = "testdata/three.yaml" // a Deployment with one pod on each of three nodes, which tolerates a silent node for two seconds

// Several nodes on one machine: they come, go, fall silent and return.
func TestNodes(t *testing.T) {
	c := up(t, "--nodes", "3")
	c.must(t, "apply", "-f", three)
	c.must(t, "rollout", "status", "deployment/three", "--timeout=60s")
	c.spread(t, "n1", "n2", "n3")
	before := c.pods(t, "app=three")
	for _, p := range before {
		if body, err := c.From(p.Spec.NodeName, p.Status.PodIP, "/"); err != nil || !strings.Contains(body, p.Name) {
			t.Errorf("%s answers its node %q (%v)", p.Name, body, err)
		}
	}
	node := func(verb string, name ...string) string {
		return c.must(t, append([]string{"node", verb, "--name", c.Name}, name...)...)
	}

	t.Run("what cannot be", func(t *testing.T) {
		for _, row := range [][]string{
			{`has no node "n9"; it has n1, n2, n3`, "cut", "n9"},
			{"node/n1 is there already", "add", "n1"},
			{"up to 20 lower-case letters and digits", "add", "a-b"},
			{"node/n1 runs already", "start", "n1"},
		} {
			c.refused(t, append([]string{"node", "--name", c.Name}, row[1:]...), row[0])
		}
		c.refused(t, []string{"node", "list", "--name", "nobody"}, "no such cluster")
	})

	t.Run("an agent that is stopped leaves its pods running", func(t *testing.T) {
		if out := node("stop", "n1"); out != "node/n1 stopped\n" {
			t.Errorf("it said %q", out)
		}
		if list := node("list"); !strings.Contains(strings.Join(strings.Fields(list), " "), "n1 stopped up") {
			t.Errorf("node list says\n%s", list)
		}
		if body, err := c.From("n1", before[slices.IndexFunc(before, on("n1"))].Status.PodIP, "/"); err != nil {
			t.Errorf("its pod answers %q (%v)", body, err)
		}
		node("start", "n1")
		c.refused(t, []string{"node", "start", "n1", "--name", c.Name}, "runs already")
		eventually(t, 30*time.Second, func() (bool, string) { return c.nodeReady(t, "n1") })
		c.spread(t, "n1", "n2", "n3")
	})

	t.Run("cut off both ways, also for the next supervisor, until healed", func(t *testing.T) {
		node("cut", "n2")
		reaches := func(from, to string) bool {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			return c.On(ctx, from, "bash", "-c", "exec 3<>/dev/tcp/"+to).Run() == nil
		}
		server, port := c.gateway(t)
		if reaches("n2", server+"/"+port) || !reaches("n1", server+"/"+port) {
			t.Error("n2 reaches the API server, or n1 does not")
		}
		pids, err := c.PIDs()
		if err != nil {
			t.Fatal(err)
		}
		for _, victim := range []string{"supervisor", "agent-n2", "agent-n1"} {
			if err := syscall.Kill(pids[victim], syscall.SIGKILL); err != nil {
				t.Fatal(victim, err)
			}
		}
		eventually(t, 10*time.Second, func() (bool, string) { return syscall.Kill(pids["supervisor"], 0) != nil, "it lives" })
		c.must(t, "start", "--name", c.Name)
		eventually(t, 20*time.Second, func() (bool, string) {
			list := strings.Join(strings.Fields(node("list")), " ")
			return strings.Contains(list, "n1 runs up") && strings.Contains(list, "n2 runs cut"), list
		})
		if reaches("n2", server+"/"+port) {
			t.Error("n2 reaches the API server under the new supervisor")
		}
		if now, err := c.PIDs(); err != nil || now["agent-n3"] != pids["agent-n3"] {
			t.Errorf("agent-n3 was not adopted (%v)", err)
		}
		node("heal", "n2")
		if !reaches("n2", server+"/"+port) {
			t.Error("n2 does not reach the API server though it is healed")
		}
	})

	t.Run("one is removed, one is added", func(t *testing.T) {
		node("rm", "n3")
		c.refused(t, []string{"get", "node", "n3"}, `nodes "n3" not found`)
		if _, err := os.Stat("/run/netns/optimist-" + c.Name + "-n3"); err == nil {
			t.Error("its network namespace is still there")
		}
		eventually(t, time.Minute, func() (bool, string) {
			pods := c.pods(t, "app=three")
			return len(pods) == 3 && !slices.ContainsFunc(pods, on("n3")), "its pods are not replaced: " + c.must(t, "get", "pods", "-o", "wide")
		})
		if out := node("add"); out != "node/n3 added\n" {
			t.Errorf("it said %q", out)
		}
		node("add", "port")
		eventually(t, 10*time.Second, func() (bool, string) { return c.nodeReady(t, "port") })
		if err := c.LoadImages(); err != nil { // a pod may be moved there, late
			t.Fatal(err)
		}
	})
	t.Run("stop and start", func(t *testing.T) {
		c.must(t, "stop", "--name", c.Name)
		for _, mount := range []string{"n1", "port"} { // as a reboot does
			if out, err := exec.Command("umount", "/run/netns/optimist-"+c.Name+"-"+mount).CombinedOutput(); err != nil {
				t.Fatal(string(out), err)
			}
		}
		c.must(t, "start", "--name", c.Name)
		eventually(t, time.Minute, func() (bool, string) { return c.ready(t, "app=three", 3) })
	})
}

// What is killed half-way, with all of its processes, is removed by down all the same. (up's cleanup looks.)
func TestNodesLeaveNothingBehind(t *testing.T) {
	c := up(t, "--nodes", "2")
	pids, err := c.PIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"supervisor", "agent-n1", "agent-n2", "apiserver", "scheduler", "controllers", "containerd"} {
		if err := syscall.Kill(pids[name], syscall.SIGKILL); err != nil {
			t.Error(name, err)
		}
	}
	if err := os.Remove(c.Root() + "/cluster.json"); err != nil { // as if it had been killed before that was written
		t.Fatal(err)
	}
}

func on(node string) func(corev1.Pod) bool {
	return func(p corev1.Pod) bool { return p.Spec.NodeName == node }
}

// spread wants one pod on each of these nodes.
func (c *Cluster) spread(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, 30*time.Second, func() (bool, string) {
		var nodes []string
		for _, p := range c.pods(t, "app=three") {
			nodes = append(nodes, p.Spec.NodeName)
		}
		slices.Sort(nodes)
		return slices.Equal(nodes, want), "the pods are on " + strings.Join(nodes, ", ")
	})
}

func (c *Cluster) nodeReady(t *testing.T, name string) (bool, string) {
	t.Helper()
	out, err := c.Ctl("get", "node", name, "--no-headers")
	f := strings.Fields(out)
	return err == nil && len(f) > 1 && f[1] == "Ready", out
}

// gateway is where nodes reach the API server.
func (c *Cluster) gateway(t *testing.T) (address, port string) {
	t.Helper()
	config := c.config(t)
	_, port, _ = strings.Cut(config.Listen, ":")
	return config.Subnet.Addr().Next().String(), port
}

// The same words for nodes that are simulated, or the machine itself, as far as they make sense there.
func TestOtherNodes(t *testing.T) {
	t.Run("simulated", func(t *testing.T) {
		c := bare(t)
		c.must(t, "up", "--sim", "--nodes", "2", "--name", c.Name)
		for _, verb := range []string{"stop", "start", "cut", "heal", "cut"} {
			c.must(t, "node", verb, "n2", "--name", c.Name)
		}
		c.must(t, "node", "stop", "n1", "--name", c.Name)
		if list := strings.Join(strings.Fields(c.must(t, "node", "list", "--name", c.Name)), " "); !strings.HasSuffix(list, "n1 stopped up - n2 runs cut -") {
			t.Errorf("node list says %s", list)
		}
		c.refused(t, []string{"node", "add", "--name", c.Name}, "is simulated: its nodes come with ctl up --sim --nodes N")
		c.refused(t, []string{"node", "cut", "n7", "--name", c.Name}, "there is no node/n7")
	})
	t.Run("the machine itself", func(t *testing.T) {
		c := up(t)
		c.must(t, "node", "stop", "n1", "--name", c.Name)
		c.must(t, "node", "start", "n1", "--name", c.Name)
		eventually(t, 10*time.Second, func() (bool, string) { return c.nodeReady(t, "n1") })
		for _, row := range [][]string{{"add"}, {"cut", "n1"}, {"heal", "n1"}, {"rm", "n1"}} {
			c.refused(t, append([]string{"node", "--name", c.Name}, row...), "is this machine itself", "ctl up --name NAME --nodes 3")
		}
		// Its pods reach the API server, which strangers on the machine's own links do not.
		c.must(t, "apply", "-f", three)
		c.must(t, "rollout", "status", "deployment/three", "--timeout=60s")
		server, port := c.gateway(t)
		pod := containerPID(t, c.pods(t, "app=three")[0])
		if out, err := exec.Command("nsenter", "--net=/proc/"+strconv.Itoa(pod)+"/ns/net", "bash", "-c", "exec 3<>/dev/tcp/"+server+"/"+port).CombinedOutput(); err != nil {
			t.Errorf("a pod does not reach the API server: %v %s", err, out)
		}
		stranger := c.netns + "-x"
		for _, args := range [][]string{
			{"netns", "add", stranger}, {"-n", c.netns, "link", "add", "s0", "type", "veth", "peer", "name", "s1", "netns", stranger},
			{"-n", c.netns, "address", "add", "172.31.254.1/24", "dev", "s0"}, {"-n", c.netns, "link", "set", "s0", "up"},
			{"-n", stranger, "address", "add", "172.31.254.2/24", "dev", "s1"}, {"-n", stranger, "link", "set", "s1", "up"},
			{"-n", stranger, "route", "add", "default", "via", "172.31.254.1"},
		} {
			if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
				t.Fatal(args, string(out), err)
			}
		}
		defer exec.Command("ip", "netns", "del", stranger).Run()
		defer exec.Command("ip", "-n", c.netns, "link", "del", "s0").Run()
		knock := func() error {
			return exec.Command("nsenter", "--net=/run/netns/"+stranger, "timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/"+server+"/"+port).Run()
		}
		if knock() == nil {
			t.Error("a stranger reaches the API server")
		}
		if out, err := c.Command(t.Context(), "nft", "flush", "chain", "ip", "optimist_"+c.Name, "input").CombinedOutput(); err != nil || knock() != nil {
			t.Errorf("without the rule a stranger would not reach it either: the test shows nothing (%v %s)", err, out)
		}
	})
}
