// Command scheduler binds pods to nodes.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"

	"optimist/internal/client"
	"optimist/internal/console"
	"optimist/scheduler"
)

func main() {
	host, _ := os.Hostname()
	id := flag.String("id", host, "the name under which this copy stands for election; no two running copies may share one")
	kubeconfig := flag.String("kubeconfig", "", "credentials of system:scheduler (a kubeconfig file)")
	flag.Parse()
	log, ring := console.New("scheduler")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *kubeconfig, *id, log, ring); err != nil && ctx.Err() == nil {
		log.Error("scheduler ends", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig, id string, log *slog.Logger, ring *console.Ring) error {
	cfg, err := client.Load(kubeconfig, "")
	if err != nil {
		return fmt.Errorf("--kubeconfig: %w", err)
	}
	cfg.Log = log
	svc, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer svc.Close()
	s := scheduler.New(scheduler.Config{Service: svc, ID: id, Log: log, Console: ring})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Run(ctx) })
	g.Go(func() error { return client.Keep(ctx, cfg, s) })
	return g.Wait()
}
