// Package inprocess runs a whole cluster in one process: the API server, the scheduler, the controllers and any number of nodes, each the
// same code as in its own program, speaking to each other by calls instead of connections.
//
//	        ┌── scheduler ──┐
//	store ◀─ apiserver ◀────┼── controllers      every arrow is an api.Service, authorised as on the wire
//	        └── agent n1…nN ┘
//
// `ctl up --sim` is this with a bbolt file and a port for ctl; the stories are this with the store in memory and fake time. It
// is the only package that knows all components.
//
// Real Kubernetes has nothing like it; its integration tests start an API server and etcd, and run no node.
package inprocess

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"optimist/agent"
	"optimist/agent/network"
	"optimist/agent/runtime"
	"optimist/apiserver/auth"
	"optimist/apiserver/registry"
	"optimist/apiserver/store"
	"optimist/controllers"
	"optimist/internal/api"
	"optimist/internal/console"
	"optimist/internal/pki"
	"optimist/scheduler"
)

// Node is one simulated machine.
type Node struct {
	Name     string
	Runtime  runtime.Runtime // its containers outlive a stopped agent
	Network  network.Network
	Capacity corev1.ResourceList // nil = this machine's
}

// Config is what a cluster in one process is made of.
type Config struct {
	Name   string
	Store  store.Store
	Listen string // an address; "": nobody comes from outside
	TLS    *tls.Config
	CA     *pki.CA             // that pods believe; nil: pods get no way to the API server
	Tokens []*ecdsa.PrivateKey // keys of ServiceAccounts' tokens; none: there are no such tokens
	Ranges registry.Ranges
	Nodes  []Node
	Copies int          // of the scheduler and of the controllers, of which one each leads; 0 = 1
	Log    *slog.Logger // nil: each part has a console of its own, for `ctl logs --component`
}

// Cluster runs the parts; each can be stopped and started alone.
type Cluster struct {
	cfg    Config
	server *servers
	links  map[string]*link // by the name of the part

	mu    sync.Mutex // guards parts
	parts map[string]*part
}

// New binds the parts and starts none.
func New(cfg Config) (*Cluster, error) {
	server := &servers{cfg: cfg, callers: map[string]*caller{}}
	if err := server.renew(); err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, server: server, links: map[string]*link{}, parts: map[string]*part{}}
	for _, name := range c.Names() {
		c.links[name] = newLink()
	}
	return c, nil
}

func (cfg Config) console(part string) (*slog.Logger, *console.Ring) {
	if cfg.Log != nil {
		return cfg.Log.With("component", part), nil
	}
	return console.New(part)
}

// Controllers are the names of all controllers: whom certificates are needed for.
func Controllers() ([]string, error) {
	roles, err := auth.Builtin()
	if err != nil {
		return nil, err
	}
	return roles.Controllers(), nil
}

// Service is access as an administrator.
func (c *Cluster) Service() api.Service {
	return newLinked(c.server, api.User{Name: "kubernetes-admin", Groups: []string{api.GroupMasters}}, newLink())
}

// Names are the parts, in the order in which they start. Further copies are called scheduler/2, controllers/2 …
func (c *Cluster) Names() []string {
	names := []string{"apiserver", "scheduler", "controllers"}
	for i := 2; i <= c.cfg.Copies; i++ {
		names = append(names, fmt.Sprintf("scheduler/%d", i), fmt.Sprintf("controllers/%d", i))
	}
	for _, n := range c.cfg.Nodes {
		names = append(names, "node/"+n.Name)
	}
	return names
}

// Run runs all parts until ctx ends or one of them fails.
func (c *Cluster) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, name := range c.Names() {
		p, err := c.start(ctx, name)
		if err != nil {
			return err
		}
		g.Go(p.wait)
	}
	return g.Wait()
}

// component makes a part anew: what it knew before, it has to learn again.
func (c *Cluster) component(name string) (func(context.Context) error, error) {
	link := c.links[name]
	if link == nil {
		return nil, c.unknown(name)
	}
	log, ring := c.cfg.console(name)
	as := func(user string, groups ...string) api.Service {
		return newLinked(c.server, api.User{Name: user, Groups: groups}, link)
	}
	switch kind, _, _ := strings.Cut(name, "/"); kind {
	case "apiserver":
		return c.server.component()
	case "scheduler":
		s := scheduler.New(scheduler.Config{Service: as(api.UserScheduler), ID: name, Log: log, Console: ring})
		return c.reachable(name, api.UserScheduler, s, s.Run), nil
	case "controllers":
		m := controllers.New(controllers.Config{Service: func(user string) api.Service { return as(user) }, ID: name, Log: log, Console: ring})
		return c.reachable(name, api.UserControllers, m, m.Run), nil
	}
	for _, n := range c.cfg.Nodes {
		if name == "node/"+n.Name {
			a := agent.New(agent.Config{Service: as(api.NodePrefix+n.Name, api.GroupNodes), Node: n.Name, Runtime: n.Runtime, Network: n.Network, Capacity: n.Capacity, Cluster: c.cfg.Name,
				ClusterCIDR: c.cfg.Ranges.ClusterCIDR, ServiceCIDR: c.cfg.Ranges.ServiceCIDR, Log: log, Console: ring})
			return c.reachable(name, api.NodePrefix+n.Name, a, a.Run), nil
		}
	}
	return nil, c.unknown(name)
}

// reachable runs a component that others may Connect to while it runs; with it their streams end.
func (c *Cluster) reachable(part, user string, to api.Connector, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		defer c.server.register(part, user, mortal{to, ctx, c.links[part]})()
		return run(ctx)
	}
}
