package apiserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/resource"

	"optimist/apiserver/auth"
	"optimist/apiserver/encryption"
	"optimist/apiserver/journal"
	"optimist/apiserver/registry"
	"optimist/apiserver/store/bolt"
	"optimist/internal/console"
	"optimist/internal/pki"
	"optimist/internal/port"
	"optimist/internal/wake"
)

// nodeBits is the size of each node's share of the pods' addresses: 254 pods.
const nodeBits = 24

// Settings are those of the process: what its flags say.
type Settings struct {
	Cluster     string   // its name; also the context in its kubeconfigs
	Data        string   // the database file
	PKI         string   // the folder for certificates and kubeconfigs
	Listen      []string // host:port, the first of which stands in the kubeconfigs
	Hosts       []string // further names and addresses that clients may use for this server
	Advertise   string   // the address at which pods reach this server; "" = found
	JoinHost    string   // by which other machines reach it; "" = they do not
	Nodes       []string // get a kubeconfig each
	ClusterCIDR string
	ServiceCIDR string
	History     time.Duration
	HistorySize string        // a quantity: 256Mi
	CertLife    time.Duration // of certificates; renewed when a third of it is left; 0 = a year
}

// Run makes what credentials are missing, opens database and port, and serves until ctx ends.
func (s Settings) Run(ctx context.Context) (err error) {
	if s.CertLife = cmp.Or(s.CertLife, 365*24*time.Hour); s.CertLife < time.Second {
		return fmt.Errorf("--cert-life %s: want at least a second, or 8760h for a year", s.CertLife)
	}
	c := Config{Cluster: s.Cluster}
	c.Log, c.Ring = console.New("apiserver")
	if c.Ranges, err = s.ranges(); err != nil {
		return err
	}
	if c.Keep, err = s.keep(); err != nil {
		return err
	}
	for _, addr := range s.Listen { // first: a second server by mistake shall not touch anything
		l, err := port.Listen(addr)
		if err != nil {
			return err
		}
		defer l.Close()
		c.Listeners = append(c.Listeners, l)
	}
	if err := s.credentials(&c); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.Data), 0o700); err != nil {
		return err
	}
	db, err := bolt.Open(s.Data, bolt.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c.Store = db
	server, err := New(c)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return server.Run(ctx) })
	g.Go(func() error {
		for wake.After(ctx, min(time.Hour, s.CertLife/6), nil) == nil { // by the clock: timers stand still while a machine sleeps
			if err := s.bootstrap(c.Listeners, c.Ranges); err != nil {
				c.Log.Error("cannot renew certificates; trying again", "err", err)
			}
		}
		return nil
	})
	return g.Wait()
}

// credentials makes what is missing, and reads all, and tells where machines and pods find the server that listens.
func (s Settings) credentials(c *Config) (err error) {
	if c.Advertise, err = advertised(s.Advertise, c.Listeners); err != nil {
		return err
	}
	if err = s.bootstrap(c.Listeners, c.Ranges); err != nil {
		return err
	}
	if s.JoinHost != "" {
		_, number, _ := net.SplitHostPort(c.Listeners[0].Addr().String())
		c.JoinAt = net.JoinHostPort(s.JoinHost, number)
	}
	if c.CA, err = pki.EnsureCA(s.PKI); err != nil {
		return err
	}
	if c.TokenKeys, err = pki.TokenKeys(s.PKI); err != nil {
		return err
	}
	if c.TLS, err = pki.ServerTLS(s.PKI); err != nil {
		return err
	}
	c.Keys, err = encryption.Load(filepath.Join(s.PKI, "encryption.yaml"))
	return err
}

func (s Settings) ranges() (registry.Ranges, error) {
	pods, err := netip.ParsePrefix(s.ClusterCIDR)
	if err != nil {
		return registry.Ranges{}, fmt.Errorf("--cluster-cidr: %w", err)
	}
	services, err := netip.ParsePrefix(s.ServiceCIDR)
	if err != nil {
		return registry.Ranges{}, fmt.Errorf("--service-cidr: %w", err)
	}
	if pods.Overlaps(services) {
		return registry.Ranges{}, fmt.Errorf("--cluster-cidr %s and --service-cidr %s overlap: pods and services need addresses of their own", pods, services)
	}
	return registry.Ranges{ClusterCIDR: pods.Masked(), NodeBits: nodeBits, ServiceCIDR: services.Masked()}, nil
}

func (s Settings) keep() (journal.Keep, error) {
	size, err := resource.ParseQuantity(s.HistorySize)
	switch {
	case err != nil:
		return journal.Keep{}, fmt.Errorf("--history-size: %w", err)
	case size.Sign() <= 0 || s.History <= 0:
		return journal.Keep{}, errors.New("--history and --history-size must be more than nothing: lists and watches need some history")
	}
	return journal.Keep{Age: s.History, Size: size.Value()}, nil
}

// bootstrap makes the credentials. The listeners know where we really listen: the port may have been 0.
func (s Settings) bootstrap(listeners []net.Listener, r registry.Ranges) error {
	roles, err := auth.Builtin()
	if err != nil {
		return err
	}
	hosts := slices.Clone(s.Hosts)
	for _, l := range listeners {
		host, _, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return err
		}
		if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		hosts = append(hosts, host)
	}
	_, number, _ := net.SplitHostPort(listeners[0].Addr().String())
	server := net.JoinHostPort(hosts[0], number)
	hosts = append(hosts, s.JoinHost, r.ServiceCIDR.Addr().Next().String())
	if name, err := os.Hostname(); err == nil && !strings.ContainsAny(name, "_ ") {
		hosts = append(hosts, name)
	}
	return pki.Bootstrap{Cluster: s.Cluster, Server: server, Hosts: hosts, Nodes: s.Nodes, Controllers: roles.Controllers(), Life: s.CertLife}.Run(s.PKI)
}
