package real

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Around a switch in a namespace of its own lie the server and two routers, each of which hides a machine with the same private address.
func internet(t *testing.T) (server, a, b *Cluster) {
	t.Helper()
	needsRoot(t)
	var script strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&script, format+"\n", args...) }
	id := fmt.Sprint(os.Getpid(), "-", time.Now().UnixNano()%1e6)
	hub, natA, natB := "t-hub"+id, "t-na"+id, "t-nb"+id
	t.Cleanup(func() {
		for _, ns := range []string{hub, natA, natB} {
			if out, err := exec.Command("ip", "netns", "del", ns).CombinedOutput(); err != nil {
				t.Error(string(out))
			}
		}
	})
	say("set -e; for n in %s %s %s; do ip netns add $n; ip -n $n link set lo up; done; ip -n %s link add name switch type bridge; ip -n %s link set switch up", hub, natA, natB, hub, hub)
	cable := func(ns, address string) {
		say("ip -n %s link add wan type veth peer name p%s netns %s; ip -n %s address add %s/24 dev wan; ip -n %s link set wan up; ip -n %s link set p%s master switch up", ns, address[len(address)-2:], hub, ns, address, ns, hub, address[len(address)-2:])
	}
	run := func() {
		t.Helper()
		if out, err := exec.Command("bash", "-c", script.String()).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		script.Reset()
	}
	run()
	for _, nat := range []struct{ ns, address string }{{natA, "203.0.113.21"}, {natB, "203.0.113.22"}} {
		cable(nat.ns, nat.address)
		say("ip netns exec %s sysctl -qw net.ipv4.ip_forward=1; ip netns exec %s nft 'table ip nat { chain out { type nat hook postrouting priority 100; oifname wan masquerade; }; }'", nat.ns, nat.ns)
	}
	run()
	return ground(t, "ts", func(ns string) { cable(ns, "203.0.113.10"); run() }), ground(t, "ta", behind(natA, say, run)), ground(t, "tb", behind(natB, say, run))
}

// behind connects a machine with its router, by the addresses that all home routers use.
func behind(nat string, say func(string, ...any), run func()) func(string) {
	return func(ns string) {
		say("ip -n %s link add lan type veth peer name eth0 netns %s; ip -n %s address add 192.168.7.1/24 dev lan; ip -n %s link set lan up", nat, ns, nat, nat)
		say("ip -n %s address add 192.168.7.2/24 dev eth0; ip -n %s link set eth0 up; ip -n %s route add default via 192.168.7.1", ns, ns, ns)
		run()
	}
}

// Two machines behind NAT join; logs and exec work on both, though each has the other's address.
func TestJoin(t *testing.T) {
	server, a, b := internet(t)
	if err := server.Up("--listen", "203.0.113.10", "--san", "boat.example"); err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSpace(server.must(t, "token", "create", "--print-join-command"))
	if !strings.HasPrefix(line, "ctl join boat.example:") { // the name that others shall use: it is in no DNS here
		t.Fatal(line)
	}
	join := strings.Fields(strings.Replace(line, "boat.example", "203.0.113.10", 1))[1:]
	as := func(c *Cluster, node string, more ...string) []string {
		return append(slices.Concat(join, []string{"--name", c.Name, "--node-name", node}), more...)
	}
	with := func(flag, value string) []string {
		args := as(a, "a")
		args[slices.Index(args, flag)+1] = value
		return args
	}

	t.Run("who does not get in", func(t *testing.T) {
		server.must(t, "token", "create", "aaaaaa.0123456789abcdef", "--ttl", "1s")
		eventually(t, 10*time.Second, func() (bool, string) {
			list := server.must(t, "token", "list")
			return strings.Contains(list, "<invalid>"), list
		})
		for _, row := range []struct {
			says string
			args []string
		}{
			{"not sha256:" + strings.Repeat("0", 64), with("--ca-hash", "sha256:"+strings.Repeat("0", 64))},
			{"the token is unknown, wrong or expired", with("--token", "aaaaaa.0123456789abcdef")},
			{"the token is unknown, wrong or expired", with("--token", "zzzzzz.0123456789abcdef")},
			{"--token must be ID.SECRET", with("--token", "x")},
			{"--ca-hash must be sha256:", with("--ca-hash", "x")},
			{`--node-name "A_b"`, with("--node-name", "A_b")},
			{`--node-ip "x" is no IPv4 address`, as(a, "a", "--node-ip", "x")},
			{"systemd does not run this machine", as(a, "a", "--systemd")},
			{"cannot reach the API server at 203.0.113.10:1", append([]string{"join", "203.0.113.10:1"}, as(a, "a")[2:]...)},
		} {
			if out, err := a.Ctl(row.args...); err == nil || !strings.Contains(out, row.says) {
				t.Errorf("%v: want %q, got %s", row.args, row.says, out)
			}
			if _, err := os.Stat(a.Root()); err == nil {
				t.Errorf("%v has left its folder", row.args)
			}
		}
	})

	if err := os.MkdirAll(filepath.Join(a.Root(), "pki"), 0o700); err != nil { // an earlier join was killed
		t.Fatal(err)
	}
	for node, c := range map[string]*Cluster{"a": a, "b": b} {
		if out := c.must(t, as(c, node)...); !strings.Contains(out, fmt.Sprintf("node %q has joined cluster %q", node, server.Name)) {
			t.Error(out)
		}
		if out := c.must(t, as(c, node)...); !strings.Contains(out, "runs already") || !strings.Contains(out, "has joined") {
			t.Errorf("again: %s", out)
		}
	}
	t.Run("names that are taken", func(t *testing.T) {
		b.refused(t, slices.Concat(join, []string{"--name", "x" + b.Name, "--node-name", "a"}), `node "a" is there and alive: choose another name`)
		b.refused(t, as(b, "c"), `this machine is node "b" of the cluster at 203.0.113.10`)
		server.refused(t, as(server, "c"), "has an API server of its own on this machine")
		a.refused(t, []string{"get", "pods", "--kubeconfig", filepath.Join(a.Root(), "pki", "node-a.kubeconfig")}, "forbidden")
	})

	images, err := filepath.Glob(filepath.Join(server.Bin, "images", "*.tar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range images {
		server.must(t, "image", "load", image)
	}
	for _, node := range []string{"a", "b"} {
		out, err := server.CtlContext(t.Context(), fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: on-%s, labels: {app: joined}}, spec: {nodeName: %s, terminationGracePeriodSeconds: 1, containers: [{name: c, image: "optimist/busybox:1", command: [sh, -c, "echo listening; trap 'exit 0' TERM; sleep 1000 & wait"]}]}}`, node, node), "apply", "-f", "-")
		if err != nil {
			t.Fatal(out)
		}
	}
	eventually(t, time.Minute, func() (bool, string) { return server.ready(t, "app=joined", 2) })
	reachable := func(t *testing.T) {
		t.Helper()
		for _, p := range server.pods(t, "app=joined") {
			if p.Status.HostIP != "192.168.7.2" {
				t.Errorf("pod %s is on %s", p.Name, p.Status.HostIP)
			}
			eventually(t, time.Minute, func() (bool, string) { // the API server may still tell of the container before the stop
				out, err := server.Ctl("exec", p.Name, "--", "hostname")
				return err == nil && strings.TrimSpace(out) == p.Name, out
			})
			if out := server.must(t, "logs", p.Name); !strings.Contains(out, "listening") {
				t.Errorf("logs of %s: %q", p.Name, out)
			}
		}
	}
	reachable(t)

	t.Run("the agent dies, the node stops and starts", func(t *testing.T) {
		pids, err := a.PIDs()
		if err != nil {
			t.Fatal(err)
		}
		if pids["apiserver"]+pids["scheduler"] != 0 || pids["containerd"] == 0 {
			t.Errorf("on a node run %v", pids)
		}
		if err := syscall.Kill(pids["agent-a"], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		a.must(t, "stop", "--name", a.Name)
		if out := a.must(t, "start", "--name", a.Name); !strings.Contains(out, `node "a" has joined`) {
			t.Error(out)
		}
		eventually(t, time.Minute, func() (bool, string) { return server.ready(t, "app=joined", 2) })
		reachable(t)
	})

	t.Run("its address changes", func(t *testing.T) {
		out, err := a.Command(t.Context(), "bash", "-c", "ip address del 192.168.7.2/24 dev eth0; ip address add 192.168.7.9/24 dev eth0; ip route add default via 192.168.7.1").CombinedOutput()
		if err != nil {
			t.Fatal(string(out))
		}
		eventually(t, 2*time.Minute, func() (bool, string) {
			var n corev1.Node
			decode(t, server.must(t, "get", "node", "a", "-o", "yaml"), &n)
			return slices.Contains(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "192.168.7.9"}), fmt.Sprint(n.Status.Addresses)
		})
		eventually(t, time.Minute, func() (bool, string) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			out, err := server.CtlContext(ctx, "", "logs", "on-a")
			return err == nil && strings.Contains(out, "listening"), out
		})
		if out, err := a.Command(t.Context(), "bash", "-c", "ip address del 192.168.7.9/24 dev eth0; ip address add 192.168.7.2/24 dev eth0; ip route add default via 192.168.7.1").CombinedOutput(); err != nil {
			t.Fatal(string(out))
		}
	})

	t.Run("its certificate is lost", func(t *testing.T) {
		b.must(t, "stop", "--name", b.Name)
		if err := os.Remove(filepath.Join(b.Root(), "pki", "node-b.kubeconfig")); err != nil {
			t.Fatal(err)
		}
		server.must(t, "delete", "node", "b")
		if out := b.must(t, as(b, "b")...); !strings.Contains(out, "has joined") {
			t.Error(out)
		}
	})

	t.Run("it leaves", func(t *testing.T) {
		server.refused(t, []string{"reset", "--yes", "--name", server.Name}, "has its API server here")
		if out := a.must(t, "reset", "--yes", "--name", a.Name); !strings.Contains(out, "ctl delete node a") {
			t.Error(out)
		}
		if _, err := os.Stat(a.Root()); err == nil {
			t.Error("its folder is still there")
		}
		server.must(t, "delete", "node", "a")
		if out := a.must(t, as(a, "a")...); !strings.Contains(out, "has joined") { // and comes back under its name
			t.Error(out)
		}
		if err := os.WriteFile(filepath.Join(a.Root(), "cluster.json"), []byte("{"), 0o600); err != nil { // half a node
			t.Fatal(err)
		}
		a.must(t, "reset", "--yes", "--name", a.Name)
	})
}

// What listens on loopback only can be opened later, and says so.
func TestOpenLater(t *testing.T) {
	needsRoot(t)
	c := ground(t, "to", func(string) {})
	if err := c.Up(); err != nil {
		t.Fatal(err)
	}
	c.refused(t, []string{"token", "create", "--print-join-command"}, "ctl stop --name "+c.Name+", then ctl start --name "+c.Name+" --listen 0.0.0.0")
	c.refused(t, []string{"start", "--name", c.Name, "--listen", "0.0.0.0"}, "take effect when it is started")
	c.must(t, "stop", "--name", c.Name)
	c.refused(t, []string{"start", "--name", c.Name, "--listen", "127.0.0.1"}, "want an IPv4 address of this machine other than loopback")
	c.must(t, "start", "--name", c.Name, "--listen", "0.0.0.0")
	if out := c.must(t, "token", "create", "--print-join-command"); !strings.HasPrefix(out, "ctl join 172.31.255.1:") {
		t.Error(out)
	}
	c.must(t, "get", "nodes")
}
