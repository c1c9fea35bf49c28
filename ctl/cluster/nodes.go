package cluster

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// namespaces is where `ip netns` looks for them.
const namespaces = "/run/netns"

// Member is what is peculiar to one node.
type Member struct {
	Address netip.Addr `json:"address,omitzero"`  // in a network namespace of its own; none: the node is the machine itself
	Stopped bool       `json:"stopped,omitempty"` // its agent shall not run
	Cut     bool       `json:"cut,omitempty"`     // its link shall be down
}

// cgroup is what the node's cgroup, network namespace and containerd namespace are called.
func (c Config) cgroup(node string) string {
	return "optimist-" + cmp.Or(c.Cluster, c.Name) + "-" + node
}

// netns is the node's network namespace; "" = that of the machine.
func (c Config) netns(node string) string {
	if !c.Members[node].Address.IsValid() {
		return ""
	}
	return filepath.Join(namespaces, c.cgroup(node))
}

// inside is where nodes and pods reach the API server: the first address on the cluster's own link, which is shut to everybody else.
func (c Config) inside() string {
	_, port, _ := net.SplitHostPort(c.Listen)
	return net.JoinHostPort(c.gateway().String(), port)
}

func (c Config) gateway() netip.Addr { return c.Subnet.Addr().Next() }

// The cluster's links: the bridge, and a node's port on it. Names have at most 15 characters.
func (c Config) bridge() string          { return "ob" + hash(c.Name, 13) }
func (c Config) port(node string) string { return "op" + hash(c.Name, 6) + hash(node, 7) }

func hash(s string, chars int) string {
	sum := sha256.Sum256([]byte(s))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:chars]
}

// subnet is the first range of links that meets nothing in use.
func subnet(used []taken) (netip.Prefix, error) {
	for i := range 256 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 87, byte(i), 0}), 24)
		if meets(p, used) == "" {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("no range in 10.87.0.0/16 is free for the nodes: it is in use by %s", meets(netip.MustParsePrefix("10.87.0.0/16"), used))
}

// Names of nodes have no dashes, lest node b-n1 of cluster a be taken for node n1 of cluster a-b.
var validNode = regexp.MustCompile(`^[a-z0-9]{1,20}$`)

// with says something else of a node.
func (c Config) with(node string, m Member) Config {
	all := map[string]Member{node: m}
	for name, other := range c.Members {
		if name != node {
			all[name] = other
		}
	}
	c.Members = all
	return c
}

// admit adds a node in a network namespace of its own, with the first free address.
func (c Config) admit(node string) (Config, error) {
	if !validNode.MatchString(node) {
		return c, fmt.Errorf("node name %q: want up to 20 lower-case letters and digits", node)
	}
	used := map[netip.Addr]bool{}
	for _, m := range c.Members {
		used[m.Address] = true
	}
	at := c.gateway().Next()
	for used[at] {
		at = at.Next()
	}
	if !c.Subnet.Contains(at.Next()) {
		return c, fmt.Errorf("all addresses of %s belong to nodes", c.Subnet)
	}
	if !slices.Contains(c.Nodes, node) {
		c.Nodes = append(slices.Clone(c.Nodes), node)
	}
	return c.with(node, Member{Address: at}), nil
}

// without forgets a node.
func (c Config) without(node string) Config {
	c.Nodes = slices.DeleteFunc(slices.Clone(c.Nodes), func(n string) bool { return n == node })
	c.Members = maps.Clone(c.Members)
	delete(c.Members, node)
	return c
}

// knows says what is wrong with naming this node.
func (c Config) knows(node string) error {
	if slices.Contains(c.Nodes, node) {
		return nil
	}
	return fmt.Errorf("cluster %q has no node %q; it has %s", c.Name, node, strings.Join(c.Nodes, ", "))
}

// apart says why nodes cannot come, go or be cut off: they are not in namespaces of their own.
func (c Config) apart() error {
	if c.netns(c.Nodes[0]) != "" {
		return nil
	}
	return errors.New("the node of cluster \"" + c.Name + "\" is this machine itself, which stays, alone and connected: make a cluster of several nodes, each in a network namespace" +
		" (ctl up --name NAME --nodes 3)")
}
