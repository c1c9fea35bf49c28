// Command controllers runs the loops that bring the cluster to what its objects say.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"optimist/controllers"
	"optimist/internal/api"
	"optimist/internal/client"
	"optimist/internal/console"
)

func main() {
	host, _ := os.Hostname()
	id := flag.String("id", host, "the name under which this copy stands for election; no two running copies may share one")
	pki := flag.String("pki", "", "the folder with controllers.kubeconfig and one controller-<name>.kubeconfig per controller")
	flag.Parse()
	log, ring := console.New("controllers")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *pki, *id, log, ring); err != nil && ctx.Err() == nil {
		log.Error("controllers end", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, pki, id string, log *slog.Logger, ring *console.Ring) error {
	var faults []error
	load := func(user string) client.Config {
		file := strings.Replace(strings.TrimPrefix(user, "system:"), ":", "-", 1) + ".kubeconfig"
		cfg, err := client.Load(filepath.Join(pki, file), "")
		faults = append(faults, err)
		return cfg
	}
	as := func(user string) api.Service {
		svc, err := client.New(load(user))
		faults = append(faults, err)
		return svc // its connection lives as long as the process
	}
	own := load(api.UserControllers)
	c := controllers.New(controllers.Config{Service: as, ID: id, Log: log, Console: ring})
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("--pki: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.Run(ctx) })
	g.Go(func() error { return client.Keep(ctx, own, c) })
	return g.Wait()
}
