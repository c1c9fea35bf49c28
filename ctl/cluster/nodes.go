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

	"optimist/ctl/parts"
)

// Member is what is peculiar to one node.
type Member struct {
	Address netip.Addr `json:"address,omitzero"`  // in a network namespace of its own; none: the node is the machine itself
	Stopped bool       `json:"stopped,omitempty"` // its agent shall not run
	Cut     bool       `json:"cut,omitempty"`     // its link shall be down
}

// namespaces is where `ip netns` looks for them.
const namespaces = "/run/netns"

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

// subnet is the first range for links that meets nothing in use.
func subnet(used []taken) (netip.Prefix, error) {
	for i := range 256 {
		if p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 87, byte(i), 0}), 24); meets(p, used) == "" {
			return p, nil
		}
	}
	all := netip.MustParsePrefix("10.87.0.0/16")
	return all, fmt.Errorf("the nodes need a range in %s, which is in use by %s", all, meets(all, used))
}

// with says something else of a node.
func (c Config) with(node string, m Member) Config {
	c.Members = maps.Collect(maps.All(c.Members))
	c.Members[node] = m
	return c
}

// without forgets a node.
func (c Config) without(node string) Config {
	c = c.with(node, Member{})
	delete(c.Members, node)
	c.Nodes = slices.DeleteFunc(slices.Clone(c.Nodes), func(n string) bool { return n == node })
	return c
}

// admit adds a node in a network namespace of its own, with the first free address.
func (c Config) admit(node string) Config {
	used := map[netip.Addr]bool{}
	for _, m := range c.Members {
		used[m.Address] = true
	}
	at := c.gateway().Next()
	for used[at] {
		at = at.Next()
	}
	c = c.without(node)
	c.Nodes = append(c.Nodes, node)
	return c.with(node, Member{Address: at})
}

// Names of nodes have no dashes, lest node b-n1 of cluster a be taken for node n1 of cluster a-b.
var validNode = regexp.MustCompile(`^[a-z0-9]{1,20}$`)

// allows says why something cannot be done to a node.
func (c Config) allows(verb, node string) error {
	m, there := c.Members[node], slices.Contains(c.Nodes, node)
	switch {
	case verb != parts.Stop && verb != parts.Start && c.netns(c.Nodes[0]) == "":
		return fmt.Errorf("the node of cluster %q is this machine itself, which stays, alone and connected; several nodes, which can come and go, has a cluster made by ctl up --name NAME --nodes 3", c.Name)
	case verb == parts.Add && there:
		return fmt.Errorf("node/%s is there already", node)
	case verb == parts.Add && !validNode.MatchString(node):
		return fmt.Errorf("node name %q: want up to 20 lower-case letters and digits", node)
	case verb == parts.Add && len(c.Nodes) > 250:
		return errors.New("there is no address left for another node")
	case verb != parts.Add && !there:
		return fmt.Errorf("cluster %q has no node %q; it has %s on this machine", c.Name, node, strings.Join(c.Nodes, ", "))
	case verb == parts.Stop && m.Stopped:
		return fmt.Errorf("node/%s does not run", node)
	case verb == parts.Start && !m.Stopped:
		return fmt.Errorf("node/%s runs already", node)
	case verb == parts.Remove && len(c.Nodes) == 1:
		return fmt.Errorf("node/%s is the last one: remove the whole cluster (ctl down --name %s)", node, c.Name)
	}
	return nil
}
