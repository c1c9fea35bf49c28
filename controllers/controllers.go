// Package controllers runs all controllers in one process, over one set of informers, in one of several copies at a time.
//
//	                 read as system:controllers
//	Service ──▶ informer.Set ──┬──▶ deployment ──▶ write as system:controller:deployment
//	                           ├──▶ replicaset ──▶ write as system:controller:replicaset
//	                           └──▶ …                     each laid over the same set
//
// All copies keep their caches and queues warm; only the leader works on them.
//
// Start reading at all.go (the list), then one controller: deployment/deployment.go. docs/dataflow.md, generated from the
// declarations, shows who watches and writes what; apiserver/auth/roles.yaml, generated too, holds them to it.
//
// Real Kubernetes has kube-controller-manager with some forty controllers, whose roles are written by hand elsewhere.
package controllers

import (
	"context"
	"log/slog"
	"net/url"

	"golang.org/x/sync/errgroup"

	"optimist/internal/api"
	"optimist/internal/console"
	"optimist/internal/event"
	"optimist/internal/informer"
	"optimist/internal/leader"
	"optimist/internal/reconcile"
)

// LeaseKey names the Lease that the copies compete for.
var LeaseKey = api.Key{Namespace: "kube-system", Name: "optimist-controllers"}

// Config says as whom and under which name to run.
type Config struct {
	Service func(user string) api.Service // system:controllers, and system:controller:<name> for each
	ID      string                        // unlike any other copy's
	Log     *slog.Logger
	Console *console.Ring // serves Connect "log"; may be nil
}

// Controllers are all controllers of one process.
type Controllers struct {
	cfg       Config
	set       *informer.Set
	loops     []*reconcile.Loop
	events    []*event.Recorder
	decisions *reconcile.Decisions
}

// New binds the controllers and starts none.
func New(cfg Config) *Controllers {
	c := &Controllers{cfg: cfg, set: informer.NewSet(cfg.Service(api.UserControllers)), decisions: reconcile.NewDecisions()}
	c.set.Log = cfg.Log
	deps := map[string]reconcile.Deps{}
	all := All(func(name string) reconcile.Deps {
		deps[name] = c.deps(name)
		return deps[name]
	})
	for _, controller := range all {
		c.loops = append(c.loops, reconcile.NewLoop(controller, deps[controller.Name]))
	}
	return c
}

func (c *Controllers) deps(name string) reconcile.Deps {
	svc := c.cfg.Service(api.ControllerPrefix + name)
	events := event.NewRecorder(svc, name+"-controller", "")
	c.events = append(c.events, events)
	return reconcile.Deps{Set: c.set, Service: c.set.Over(svc), Events: events, Log: c.cfg.Log.With("controller", name), Decisions: c.decisions}
}

// Set is what all loops read, and Loops are what works: who drives the loops' synchronous cores (law 11) delivers to the one and steps the others.
func (c *Controllers) Set() *informer.Set { return c.set }

// Loops are one of each controller, in the order of All.
func (c *Controllers) Loops() []*reconcile.Loop { return c.loops }

// Run watches, competes for leadership, and while it leads reconciles, until ctx ends.
func (c *Controllers) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.set.Run(ctx) })
	for _, r := range c.events {
		g.Go(func() error { return r.Run(ctx) })
	}
	g.Go(func() error {
		return leader.Run(ctx, leader.Config{Service: c.cfg.Service(api.UserControllers), Lease: LeaseKey, ID: c.cfg.ID, Log: c.cfg.Log}, c.lead)
	})
	return g.Wait()
}

func (c *Controllers) lead(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range c.loops {
		g.Go(func() error { return l.Run(ctx) })
	}
	return g.Wait()
}

// Connect serves the log and the decisions.
func (c *Controllers) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	return c.decisions.Answer(ctx, t, params, c.cfg.Console)
}
