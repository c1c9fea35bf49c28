// Command apiserver is the cluster's API server. See package apiserver.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"optimist/apiserver"
)

// gcPercent: a write leaves garbage, about 15 KB, beside a heap that is small. Collecting half as often saves a tenth of a write's CPU and
// costs 1 MB when idle (docs/benchmarks.md). GOGC in the environment wins.
const gcPercent = 200

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "apiserver:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var s apiserver.Settings
	c := &cobra.Command{
		Use: "apiserver", Short: "Serve a cluster's objects", Args: cobra.NoArgs,
		SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error { return s.Run(c.Context()) },
	}
	f := c.Flags()
	f.StringVar(&s.Cluster, "name", "optimist", "the cluster's name: the context in its kubeconfigs")
	f.StringVar(&s.Data, "data", "store.db", "the database `file`; made when it is not there")
	f.StringVar(&s.PKI, "pki", "pki", "the `folder` for certificates and kubeconfigs; filled at the first start")
	f.StringArrayVar(&s.Listen, "listen", []string{"127.0.0.1:6443"}, "an `address` to serve at; the first also stands in the kubeconfigs (repeatable)")
	f.StringArrayVar(&s.Hosts, "host", nil, "a further `name or address` of this server for its certificate; the first also stands in the kubeconfigs (repeatable)")
	f.StringVar(&s.Advertise, "advertise-address", "", "the `address` at which pods reach this server, for the endpoints of the Service kubernetes (default: the first that it listens at, else this machine's)")
	f.StringVar(&s.JoinHost, "join-host", "", "the `name or address` by which other machines reach this server, for those that join")
	f.StringArrayVar(&s.Nodes, "node", nil, "a node's `name`: it gets a kubeconfig (repeatable)")
	f.StringVar(&s.ClusterCIDR, "cluster-cidr", "10.244.0.0/16", "the pods' addresses")
	f.StringVar(&s.ServiceCIDR, "service-cidr", "10.96.0.0/16", "the services' addresses")
	f.DurationVar(&s.CertLife, "cert-life", 365*24*time.Hour, "how long certificates are good; they are renewed, while everything runs, when a third of that is left")
	f.DurationVar(&s.History, "history", time.Hour, "how long superseded states and the journal stay readable")
	f.StringVar(&s.HistorySize, "history-size", "256Mi", "how many `bytes` they may take; what is less than a minute old stays in any case")
	return c
}
