package inprocess

import (
	"context"
	"errors"
	"net/netip"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sync/errgroup"

	"optimist/apiserver/registry"
	"optimist/apiserver/store/bolt"
	"optimist/ctl/parts"
	"optimist/internal/pki"
)

// Simulation is a cluster of simulated nodes with its data in a folder: what `ctl up --sim` leaves running.
type Simulation struct {
	Name                     string
	Root                     string // holds store.db and pki/
	Control                  string // the socket of `ctl part`
	Listen                   string
	ClusterCIDR, ServiceCIDR netip.Prefix
	Nodes                    []Node
}

// Run runs the simulation until the process is told to end.
func (s Simulation) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	conf, err := pki.ServerTLS(filepath.Join(s.Root, "pki"))
	if err != nil {
		return err
	}
	keys, err := pki.TokenKeys(filepath.Join(s.Root, "pki"))
	if err != nil {
		return err
	}
	ca, err := pki.EnsureCA(filepath.Join(s.Root, "pki"))
	if err != nil {
		return err
	}
	db, err := bolt.Open(filepath.Join(s.Root, "store.db"), bolt.Options{})
	if err != nil {
		return err
	}
	c, err := New(Config{Name: s.Name, Store: db, Listen: s.Listen, TLS: conf, CA: ca, Tokens: keys, Nodes: s.Nodes,
		Ranges: registry.Ranges{ClusterCIDR: s.ClusterCIDR, ServiceCIDR: s.ServiceCIDR, NodeBits: 24}})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.Run(ctx) })
	g.Go(func() error {
		return parts.Serve(ctx, s.Control, func(r parts.Request) parts.Reply { return c.obey(ctx, g, r) })
	})
	return errors.Join(g.Wait(), db.Close())
}

// obey does what somebody with access to the cluster's folder asks for. A part that is started again belongs to g as it did before.
func (c *Cluster) obey(ctx context.Context, g *errgroup.Group, r parts.Request) parts.Reply {
	reply := parts.Reply{Runs: map[string]bool{}, Cut: map[string]bool{}}
	var err error
	switch r.Verb {
	case parts.Stop:
		err = c.Stop(r.Part)
	case parts.Cut:
		err = c.Cut(r.Part)
	case parts.Heal:
		err = c.Join(r.Part)
	case parts.Start:
		var wait func() error
		if wait, err = c.Start(ctx, r.Part); err == nil {
			g.Go(wait)
		}
	}
	if err != nil {
		reply.Error = err.Error()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range c.Names() {
		reply.Runs[name] = c.parts[name].runs()
		_, cut := c.links[name].state()
		reply.Cut[name] = cut != nil
	}
	return reply
}
