package cluster

import (
	"path/filepath"
)

// process is one program of a cluster, as the supervisor starts it.
type process struct {
	name   string
	argv   []string
	server string // the address of the server that it is a client of; "" = none
}

// processes lists a cluster's programs in the order in which they start; they stop in the reverse order.
func (c Config) processes() []process {
	bin := func(name string) string { return filepath.Join(c.Bin, name) }
	kubeconfig := func(who string) string { return filepath.Join(c.pki(), who+".kubeconfig") }
	all := []process{
		{name: "containerd", argv: []string{"containerd", "--config", c.path("containerd", "config.toml")}},
		{name: "apiserver", argv: []string{bin("apiserver"), "--name", c.Name, "--data", c.path("store.db"), "--listen", c.Listen, "--pki", c.pki(),
			"--cluster-cidr", c.ClusterCIDR.String(), "--service-cidr", c.ServiceCIDR.String()}},
		{name: "scheduler", server: c.Listen, argv: []string{bin("scheduler"), "--kubeconfig", kubeconfig("scheduler")}},
		{name: "controllers", server: c.Listen, argv: []string{bin("controllers"), "--pki", c.pki()}},
	}
	for _, node := range c.Nodes {
		all = append(all, process{name: "agent-" + node, server: c.Listen, argv: append([]string{bin("agent"), "--kubeconfig", kubeconfig("node-" + node)}, c.agentFlags(node)...)})
	}
	return all
}

// agentFlags are shared by the agent and by its clean-up.
func (c Config) agentFlags(node string) []string {
	return []string{"--node", node, "--root", c.agentRoot(node), "--run", filepath.Join(c.Run, node), "--runtime", "containerd",
		"--containerd-socket", c.socket(), "--cluster", c.Name, "--cluster-cidr", c.ClusterCIDR.String(), "--service-cidr", c.ServiceCIDR.String()}
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
