package cluster

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// process is one program of a cluster, as the supervisor starts it.
type process struct {
	name   string
	argv   []string
	server string // the address of the server that it is a client of; "" = none
	node   string // whose agent it is; "" = none's
}

// processes lists a cluster's programs in the order in which they start; they stop in the reverse order.
func (c Config) processes() []process {
	bin := func(name string) string { return filepath.Join(c.Bin, name) }
	all := []process{
		{name: "containerd", argv: []string{"containerd", "--config", c.path("containerd", "config.toml")}},
		{name: "apiserver", argv: append([]string{bin("apiserver")}, c.serverFlags()...)},
		{name: "scheduler", server: c.Listen, argv: []string{bin("scheduler"), "--kubeconfig", c.credential("scheduler")}},
		{name: "controllers", server: c.Listen, argv: []string{bin("controllers"), "--pki", c.pki()}},
	}
	if c.Server != "" {
		all = all[:1]
	}
	for _, node := range c.Nodes {
		if !c.Members[node].Stopped {
			all = append(all, c.agent(node))
		}
	}
	return all
}

func (c Config) agent(node string) process {
	return process{name: "agent-" + node, node: node, server: c.Listen, argv: c.agentCommand(node, "--kubeconfig", c.credential("node-"+node))}
}

// agentCommand is the agent or its clean-up, in the node's network namespace.
func (c Config) agentCommand(node string, argv ...string) []string {
	argv = append([]string{filepath.Join(c.Bin, "agent"), "--node", node, "--root", c.agentRoot(node), "--run", filepath.Join(c.Run, node), "--runtime", "containerd",
		"--containerd-socket", c.socket(), "--cluster", cmp.Or(c.Cluster, c.Name), "--cluster-cidr", c.ClusterCIDR.String(), "--service-cidr", c.ServiceCIDR.String()}, argv...)
	if c.NodeIP != "" {
		argv = append(argv, "--node-ip", c.NodeIP)
	}
	if at := c.Members[node].Address; at.IsValid() {
		return append([]string{"nsenter", "--net=" + c.netns(node)}, append(argv, "--node-ip", at.String())...)
	}
	return argv
}

// containerdConfig is for a containerd of the cluster's own: nothing of it is shared with one that the machine may run already.
func (c Config) containerdConfig() string {
	return `version = 2
root = "` + c.path("containerd", "root") + `"
state = "` + filepath.Join(c.Run, "containerd") + `"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri"]
[grpc]
  address = "` + c.socket() + `"
[ttrpc]
  address = "` + c.socket() + `.ttrpc"
`
}

// running identifies a process for good: a pid alone may be given to another process, after a reboot surely is.
type running struct {
	PID   int    `json:",omitempty"`
	Start string `json:",omitempty"` // in clock ticks after Boot, from /proc/PID/stat
	Boot  string `json:",omitempty"` // the kernel's id of this boot

	// Of one that has died and will be started again:
	Deaths     int    `json:",omitempty"` // in a row
	How        string `json:",omitempty"` // the last time
	Supervisor int    `json:",omitempty"` // pid of who saw it

	cmd *exec.Cmd // when it is our child; nil when it was adopted
}

// recorded is what the supervisor has noted of each process. Nothing is known where the file cannot be read.
func (c Config) recorded() map[string]running {
	all := map[string]running{}
	if data, err := os.ReadFile(c.path("processes.json")); err == nil && json.Unmarshal(data, &all) != nil {
		return map[string]running{}
	}
	return all
}

// hopeless is how often in a row a program may die before those who wait for it give up.
const hopeless = 3

// failure is why a part of the cluster will not become ready; nil while there is hope.
func (c Config) failure(part string) error {
	supervisor := c.supervisor()
	if supervisor == 0 {
		return fmt.Errorf("the cluster's supervisor ended%s", lastLines(c.logFile("supervisor"), 1))
	}
	if r := c.recorded()[part]; r.Supervisor == supervisor && r.Deaths >= hopeless {
		return fmt.Errorf("%s cannot run (%s)%s", part, r.How, lastLines(c.logFile(part), 1))
	}
	return nil
}
