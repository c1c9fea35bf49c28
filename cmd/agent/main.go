// Command agent runs a node: its pods, through containerd or simulated.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"optimist/agent"
	"optimist/internal/client"
	"optimist/internal/console"
	"optimist/internal/pki"
)

func main() {
	var f flags
	f.define(flag.CommandLine)
	flag.Parse()
	log, ring := console.New("agent")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, f, log, ring); err != nil && ctx.Err() == nil {
		log.Error("agent ends", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags, log *slog.Logger, ring *console.Ring) error {
	if f.cleanup != "" {
		return f.clean(ctx)
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, node := range f.names() {
		path := strings.ReplaceAll(f.kubeconfig, "{node}", node)
		cfg, err := client.Load(path, "")
		if err != nil {
			return err
		}
		c, err := f.config(node)
		if err != nil {
			return err
		}
		svc, err := client.New(cfg)
		if err != nil {
			return err
		}
		c.Service, c.Log, c.Console = svc, log, ring
		a := agent.New(c)
		g.Go(func() error { return a.Run(ctx) })
		g.Go(func() error { return client.Keep(ctx, cfg, a) })
		g.Go(func() error { return pki.RenewNode(ctx, svc, path, node, log) })
	}
	return g.Wait()
}
