package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"

	"optimist/agent"
	"optimist/agent/dns"
	"optimist/agent/network"
	"optimist/agent/node"
	"optimist/agent/proxy"
	"optimist/agent/runtime/sim"
)

// flags are the command line.
type flags struct {
	kubeconfig, node, address   string
	root, run                   string
	runtime, socket, cluster    string
	clusterCIDR, serviceCIDR    string
	resolvConf, logger, cleanup string
	nodes                       int
}

func (f *flags) define(set *flag.FlagSet) {
	host, _ := os.Hostname()
	set.StringVar(&f.kubeconfig, "kubeconfig", "", "credentials of system:node:<name> (a kubeconfig `file`; {node} stands for the name)")
	set.StringVar(&f.node, "node", host, "the node's `name`")
	set.StringVar(&f.address, "node-ip", "", "the node's `address`, one of this machine's (default: that of its way out, also when it changes)")
	set.StringVar(&f.root, "root", "/var/lib/optimist/agent", "the `folder` for logs of containers and volumes of pods")
	set.StringVar(&f.run, "run", "/run/optimist/agent", "the `folder` for what ends with the machine's uptime: sandboxes")
	set.StringVar(&f.runtime, "runtime", "containerd", "containerd, or sim for simulated containers")
	set.StringVar(&f.socket, "containerd-socket", "/run/containerd/containerd.sock", "where containerd listens")
	set.StringVar(&f.cluster, "cluster", "optimist", "the cluster's `name`: part of the names of what this node makes")
	set.StringVar(&f.clusterCIDR, "cluster-cidr", "10.244.0.0/16", "the pods' addresses")
	set.StringVar(&f.serviceCIDR, "service-cidr", "10.96.0.0/16", "the services' addresses")
	set.StringVar(&f.resolvConf, "resolv-conf", "", "the `file` with the node's name servers, which pods' DNS asks in turn (default: the machine's resolv.conf, or systemd-resolved's own)")
	set.StringVar(&f.logger, "logger", "", "the logger's binary (default: beside this one)")
	set.StringVar(&f.cleanup, "cleanup", "", "do not run, but `stop` all containers of this node, or remove them with the network")
	set.IntVar(&f.nodes, "nodes", 1, "with --runtime sim: run so many nodes, named <node>-1, <node>-2, …")
}

// names are the nodes that this process runs.
func (f *flags) names() []string {
	if f.nodes <= 1 {
		return []string{f.node}
	}
	var all []string
	for i := range f.nodes {
		all = append(all, fmt.Sprintf("%s-%d", f.node, i+1))
	}
	return all
}

// config is one node's, without what all nodes of the process share.
func (f *flags) config(name string) (agent.Config, error) {
	net, err := f.network(name)
	if err != nil {
		return agent.Config{}, err
	}
	c := agent.Config{Node: name, Address: f.address, Cluster: net.Cluster, ClusterCIDR: net.ClusterCIDR, ServiceCIDR: net.ServiceCIDR}
	server := network.DNSAddress(c.ServiceCIDR)
	switch f.runtime {
	case "sim":
		c.Runtime, c.Network, c.Capacity = sim.New(), &network.Loopback{}, node.Simulated()
	case "containerd":
		if f.nodes > 1 {
			return c, errors.New("--nodes works only with --runtime sim: real nodes are one process each")
		}
		if f.address != "" && f.cleanup == "" {
			if err := node.Check(f.address); err != nil {
				return c, fmt.Errorf("--node-ip: %w", err)
			}
		}
		c.Root, c.Wired, c.ResolvConf = f.root, true, f.resolvConf
		c.DNS = &dns.Server{Address: netip.AddrPortFrom(server, 53), Ranges: []netip.Prefix{net.ClusterCIDR, net.ServiceCIDR},
			Upstreams: func() []string { return dns.ReadResolver(f.resolvConf).Upstreams() }}
		if f.address != "" {
			passStubs(server)
		}
		c.Runtime, c.Network, c.Proxy, err = f.real(name, proxy.Net{Pods: net.ClusterCIDR, Services: net.ServiceCIDR, DNS: server})
	default:
		err = fmt.Errorf("--runtime %q: must be containerd or sim", f.runtime)
	}
	return c, err
}

// passStubs has the agent, who pulls images, ask the node's own DNS server where resolv.conf names a stub on loopback: in a network namespace of the
// node's own nobody answers there.
func passStubs(server netip.Addr) {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().IsLoopback() {
			address = netip.AddrPortFrom(server, at.Port()).String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
}

func (f *flags) network(name string) (network.Config, error) {
	cluster, err := netip.ParsePrefix(f.clusterCIDR)
	if err != nil {
		return network.Config{}, fmt.Errorf("--cluster-cidr: %w", err)
	}
	services, err := netip.ParsePrefix(f.serviceCIDR)
	if err != nil {
		return network.Config{}, fmt.Errorf("--service-cidr: %w", err)
	}
	return network.Config{Cluster: f.cluster, Node: name, ClusterCIDR: cluster, ServiceCIDR: services}, nil
}

// clean stops or removes what agents have left on this node.
func (f *flags) clean(ctx context.Context) error {
	c, err := f.config(f.node)
	if err != nil {
		return err
	}
	switch f.cleanup {
	case "stop":
		return agent.Stop(ctx, c.Runtime)
	case "remove":
		return agent.Remove(ctx, c.Runtime, c.Network, c.Proxy, c.Root, network.Config{Cluster: c.Cluster, Node: c.Node, ClusterCIDR: c.ClusterCIDR, ServiceCIDR: c.ServiceCIDR})
	}
	return fmt.Errorf("--cleanup %q: must be stop or remove", f.cleanup)
}
