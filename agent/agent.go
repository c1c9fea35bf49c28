package agent

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/dns"
	"optimist/agent/images"
	"optimist/agent/network"
	"optimist/agent/node"
	"optimist/agent/pod"
	"optimist/agent/proxy"
	"optimist/agent/runtime"
	"optimist/agent/server"
	"optimist/agent/volume"
	"optimist/internal/api"
	"optimist/internal/console"
	"optimist/internal/event"
	"optimist/internal/informer"
	"optimist/internal/wake"
)

// starts is how many sandboxes and containers a node starts at the same time: more only take longer each.
const starts = 4

// Config is everything that an agent needs.
type Config struct {
	Service     api.Service // as system:node:<Node>
	Node        string
	Runtime     runtime.Runtime
	Network     network.Network
	Root        string // of the log files; "" = the runtime writes none (sim)
	Address     string // of the node; "" = found, and followed if Wired
	Labels      map[string]string
	Capacity    corev1.ResourceList // nil = the machine's
	Cluster     string
	ClusterCIDR netip.Prefix
	ServiceCIDR netip.Prefix
	Wired       bool          // the node has a real network: it knows the other nodes, Services and their endpoints
	DNS         Resolver      // answers the pods' questions; nil in simulated nodes
	ResolvConf  string        // the node's; "" = the machine's
	Proxy       proxy.Table   // where Services are programmed, if Wired; nil = nowhere
	Console     *console.Ring // the agent's own log; may be nil
	Log         *slog.Logger
}

// Resolver is a DNS server (dns.Server, which ctl does not need).
type Resolver interface {
	Run(context.Context, dns.Zones, *slog.Logger) error
}

// Agent runs one node.
type Agent struct {
	config   Config
	set      *informer.Set
	pods     *pods
	nodes    informer.Reader[*corev1.Node] // its own; if Wired, all
	cache    informer.Reader[*corev1.Pod]
	services informer.Reader[*corev1.Service] // nil unless Wired
	names    dns.Zones
	proxy    *proxy.Proxy // nil without Config.Proxy
	keeper   *node.Keeper
	events   *event.Recorder
	server   *server.Server
	news     wake.Bell    // the Node has changed
	moved    wake.Bell    // any Node has changed
	cidr     netip.Prefix // that the network is set up for; start's, then rewire's
}

// New binds the parts; Run starts them.
func New(c Config) *Agent {
	var find func(string) string
	if c.Address == "" {
		c.Address = node.Address("")
		if c.Wired {
			find = node.Address
		}
	}
	if c.Capacity == nil {
		c.Capacity = node.Capacity(c.Root)
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return newAgent(c, find)
}

// newAgent has a node whose address find follows; nil: it stays.
func newAgent(c Config, find func(string) string) *Agent {
	set := informer.NewSet(c.Service)
	set.Log = c.Log
	service := set.Over(c.Service)
	a := &Agent{config: c, set: set, news: wake.New(), moved: wake.New()}
	var seen informer.Options[*corev1.Node]
	if !c.Wired {
		seen.Fields = fields.OneTermEqualSelector("metadata.name", c.Node)
	}
	a.nodes = informer.Watch(set, api.Nodes, seen)
	if c.Wired {
		a.services = informer.Watch(set, api.Services, informer.Options[*corev1.Service]{})
		a.names = dns.Watch(set)
	}
	if c.Proxy != nil {
		a.proxy = proxy.New(c.Proxy, set, c.Node, network.DNSAddress(c.ServiceCIDR), c.Log)
	}
	a.cache = informer.Watch(set, api.Pods, informer.Options[*corev1.Pod]{Fields: fields.OneTermEqualSelector("spec.nodeName", c.Node)})
	a.events = event.NewRecorder(c.Service, "kubelet", c.Node)
	a.keeper = node.New(node.Config{Service: service, Nodes: a.nodes, Name: c.Node, Address: c.Address, Find: find, Labels: c.Labels,
		Capacity: c.Capacity, Version: c.Runtime.Version, Events: a.events, Log: c.Log})
	volumes := &volume.Volumes{Service: service, Root: c.Root, Changed: func(uid types.UID) { a.pods.happened(uid) }, Log: c.Log}
	a.pods = &pods{workers: map[types.UID]*pod.Worker{}, host: &pod.Host{
		Service: service, Pods: a.cache, Services: a.services, Runtime: c.Runtime, Network: c.Network, Volumes: volumes,
		Images: images.NewPuller(c.Runtime), Events: a.events, Starts: make(chan struct{}, starts), Address: a.keeper.Address,
		Node: pod.Node{Name: c.Node, IP: c.Address, Allocatable: c.Capacity}, Root: c.Root, Resolv: c.ResolvConf, Log: c.Log,
	}}
	if c.DNS != nil {
		a.pods.host.DNS = network.DNSAddress(c.ServiceCIDR)
	}
	a.server = server.New(server.Config{Node: c.Node, Pods: a.cache, Runtime: c.Runtime, Root: c.Root, Address: a.keeper.Address, Console: c.Console})
	set.Listen(api.PodKind, a.pods.changed)
	set.Listen(api.NodeKind, func(n informer.Change) {
		a.moved.Ring()
		if cmp.Or(n.After, n.Before).GetName() == c.Node {
			a.keeper.Wake()
			a.news.Ring()
			if before, after := n.Before, n.After; before != nil && after != nil && node.InternalIP(before.(*corev1.Node)) != node.InternalIP(after.(*corev1.Node)) {
				a.pods.happened("") // their status tells the node's address
			}
		}
	})
	return a
}

// Connect answers for logs, exec, attach, ports and images of this node.
func (a *Agent) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	return a.server.Connect(ctx, t, params)
}

// Run registers the node, then keeps it and its pods until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.keeper.Register(ctx); err != nil {
		return nil
	}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return a.set.Run(running) })
	group.Go(func() error { return a.events.Run(running) })
	group.Go(func() error {
		if err := a.start(running, group); err != nil {
			return err
		}
		return a.listen(running)
	})
	if err := group.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// start brings everything up in its order: caches, runtime, network, then the workers of what is wanted and of what is there.
func (a *Agent) start(ctx context.Context, group *errgroup.Group) error {
	if err := a.set.Synced(ctx); err != nil {
		return err
	}
	a.set.Doubt() // a first list may be as old as it likes: what it names, an earlier agent may have ended already
	group.Go(func() error { return a.keeper.Run(ctx) })
	boxes, err := a.prepare(ctx)
	if err != nil {
		return err
	}
	a.keeper.Wired()
	if r, ok := a.config.Network.(network.Router); ok && a.config.Wired {
		group.Go(func() error { return a.routes(ctx, r) })
	}
	if a.proxy != nil {
		group.Go(func() error { return a.proxy.Run(ctx) })
	}
	group.Go(func() error { return a.rewire(ctx) })
	if a.config.DNS != nil {
		group.Go(func() error { return a.config.DNS.Run(ctx, a.names, a.config.Log) })
	}
	spawn := func(f func(context.Context)) { group.Go(func() error { f(ctx); return nil }) }
	a.pods.host.Volumes.Spawn = spawn
	if err := a.sweep(boxes); err != nil {
		a.config.Log.Warn("cannot remove the volumes of pods that are gone", "err", err)
	}
	a.pods.open(a.cache.List("", nil), boxes, spawn)
	a.config.Log.Info("the node is up", "node", a.config.Node, "sandboxes", len(boxes))
	return nil
}

// sweep removes the volumes of pods of which nothing else is left.
func (a *Agent) sweep(boxes []runtime.Sandbox) error {
	known := map[types.UID]bool{}
	for p := range a.cache.List("", nil) {
		known[p.UID] = true
	}
	for _, b := range boxes {
		known[b.Pod] = true
	}
	return a.pods.host.Volumes.Keep(func(uid types.UID) bool { return known[uid] })
}

// prepare brings runtime and network up, and returns what runs here. It tries until both are ready, or ctx ends.
func (a *Agent) prepare(ctx context.Context) ([]runtime.Sandbox, error) {
	for {
		boxes, err := a.read(ctx)
		if err == nil {
			err = a.wire(ctx, boxes)
		}
		if err == nil {
			err = a.set.Settle(ctx)
		}
		if err == nil || ctx.Err() != nil {
			return boxes, ctx.Err()
		}
		a.config.Log.Warn("the node is not ready for pods; trying again", "node", a.config.Node, "error", err)
		_ = wake.After(ctx, time.Second, a.news)
	}
}

func (a *Agent) read(ctx context.Context) ([]runtime.Sandbox, error) {
	version, err := a.config.Runtime.Version(ctx)
	if err != nil {
		return nil, err
	}
	if a.pods.host.Node.Runtime == "" { // at the start: later, workers read it
		a.pods.host.Node.Runtime, _, _ = strings.Cut(version, "://")
	}
	return a.config.Runtime.State(ctx)
}

// wire sets the network up for the node's podCIDR and detaches what belongs to nobody.
func (a *Agent) wire(ctx context.Context, boxes []runtime.Sandbox) error {
	cidr := a.podCIDR()
	if !cidr.IsValid() {
		return fmt.Errorf("node %s has no spec.podCIDR yet", a.config.Node)
	}
	kept := map[types.UID]netip.Addr{}
	for _, b := range boxes {
		if b.Address.IsValid() {
			kept[b.Pod] = b.Address
		}
	}
	c := network.Config{Cluster: a.config.Cluster, Node: a.config.Node, PodCIDR: cidr, ClusterCIDR: a.config.ClusterCIDR, ServiceCIDR: a.config.ServiceCIDR}
	if err := a.config.Network.Setup(ctx, c); err != nil {
		return err
	}
	if a.proxy != nil && !a.cidr.IsValid() { // later its Run does
		if err := a.proxy.Step(); err != nil {
			return err
		}
	}
	a.cidr = cidr
	return a.config.Network.Keep(ctx, kept)
}

// podCIDR is the node's share of pod addresses; invalid while it has none.
func (a *Agent) podCIDR() netip.Prefix {
	n, ok := a.nodes.Get(api.Key{Name: a.config.Node})
	if !ok {
		return netip.Prefix{}
	}
	cidr, _ := netip.ParsePrefix(n.Spec.PodCIDR) // the API server has checked it
	return cidr
}

// rewire sets the network up again when the node got another podCIDR, because somebody deleted the Node and we made it anew. Pods keep
// the addresses that they have.
func (a *Agent) rewire(ctx context.Context) error {
	for wake.After(ctx, wake.Never, a.news) == nil {
		if cidr := a.podCIDR(); cidr.IsValid() && cidr != a.cidr {
			if _, err := a.prepare(ctx); err != nil {
				return nil
			}
		}
	}
	return nil
}

// listen wakes the workers of pods in which something happened; after a gap, all of them.
func (a *Agent) listen(ctx context.Context) error {
	a.pods.happened("") // while nobody listened
	for uid, err := range a.config.Runtime.Events(ctx) {
		if err != nil {
			a.config.Log.Info("looking at all pods", "node", a.config.Node, "why", err)
			uid = ""
		}
		a.pods.happened(uid)
	}
	return nil
}
