package inprocess

import (
	"context"
	"errors"
	"net/netip"
	"os/signal"
	"path/filepath"
	"syscall"

	"optimist/apiserver/registry"
	"optimist/apiserver/store/bolt"
	"optimist/internal/pki"
	"optimist/internal/port"
)

// Simulation is a cluster of simulated nodes with its data in a folder: what `ctl up --sim` leaves running.
type Simulation struct {
	Name                     string
	Root                     string // holds store.db and pki/
	Listen                   string
	ClusterCIDR, ServiceCIDR netip.Prefix
	Nodes                    []Node
}

// Run runs the simulation until the process is told to end.
func (s Simulation) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	l, err := port.Listen(s.Listen)
	if err != nil {
		return err
	}
	defer l.Close()
	conf, err := pki.ServerTLS(filepath.Join(s.Root, "pki"))
	if err != nil {
		return err
	}
	db, err := bolt.Open(filepath.Join(s.Root, "store.db"), bolt.Options{})
	if err != nil {
		return err
	}
	c, err := New(Config{Name: s.Name, Store: db, Listener: l, TLS: conf, Nodes: s.Nodes,
		Ranges: registry.Ranges{ClusterCIDR: s.ClusterCIDR, ServiceCIDR: s.ServiceCIDR, NodeBits: 24}})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(c.Run(ctx), db.Close())
}
