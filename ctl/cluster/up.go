package cluster

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"optimist/internal/port"
)

// Wish is what the flags of `ctl up` ask for; zero values leave the choice to us.
type Wish struct {
	Name                     string
	Sim                      bool
	Nodes                    int // simulated nodes; a real cluster has one here
	Port                     int
	ClusterCIDR, ServiceCIDR string
	Kubeconfig               string // where to put the context; "" = the calling user's
	Wait                     time.Duration
	controllers              []string // names that need certificates
}

// Up makes the cluster, or starts it if it exists, and returns when it is Ready.
func Up(w Wish, out io.Writer) error {
	c, err := locate(w.Name)
	if err != nil {
		return err
	}
	if !w.Sim {
		if err := checkMachine(); err != nil {
			return err
		}
	}
	if c.exists() {
		return Start(w.Name, w.Kubeconfig, w.controllers, w.Wait, out)
	}
	if c, err = w.plan(c); err != nil {
		return err
	}
	if err := c.create(); err != nil {
		return errors.Join(err, c.sweep())
	}
	if err := c.start(w.Kubeconfig, w.Wait, out); err != nil {
		return fmt.Errorf("%w\n(the cluster stays as it is: look at %s, then ctl down --name %s)", err, c.path("logs"), c.Name)
	}
	return nil
}

// Start starts a stopped cluster, or adopts what a killed supervisor left running.
func Start(name, kubeconfig string, controllers []string, wait time.Duration, out io.Writer) error {
	c, err := Load(name)
	if err != nil {
		return err
	}
	if c.supervisor() != 0 {
		fmt.Fprintf(out, "cluster %q runs already at https://%s; nothing to do\n", c.Name, c.Listen)
		return nil
	}
	if c.Bin, err = programs(); err != nil { // ctl may have moved since
		return err
	}
	c.controllers = controllers
	if err := errors.Join(c.mkdirs(), c.save()); err != nil {
		return err
	}
	return c.start(kubeconfig, wait, out)
}

// plan decides what was left open: name of the nodes, port, ranges.
func (w Wish) plan(c Config) (Config, error) {
	var err error
	c.Sim, c.controllers = w.Sim, w.controllers
	c.Nodes = nodeNames(max(1, w.Nodes))
	if c.Bin, err = programs(); err != nil {
		return c, err
	}
	if c.Listen, err = w.listen(List()); err != nil {
		return c, err
	}
	c.ClusterCIDR, c.ServiceCIDR, err = w.ranges(List(), routes())
	return c, err
}

func nodeNames(n int) (names []string) {
	for i := range n {
		names = append(names, "n"+strconv.Itoa(i+1))
	}
	return names
}

// listen takes the port that was asked for, or the first free one from 6443 on that no other cluster has a claim to.
func (w Wish) listen(others []Config) (string, error) {
	if w.Port != 0 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(w.Port))
		if err := tryListen(addr); err != nil {
			return "", fmt.Errorf("--port %d: %w", w.Port, err)
		}
		return addr, nil
	}
	claimed := map[string]bool{}
	for _, o := range others {
		claimed[o.Listen] = true
	}
	for p := 6443; p < 6543; p++ {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(p))
		if !claimed[addr] && tryListen(addr) == nil {
			return addr, nil
		}
	}
	return "", errors.New("ports 6443 to 6542 are all in use; name a free one with --port")
}

func tryListen(addr string) error {
	l, err := port.Listen(addr)
	if err != nil {
		return err
	}
	return l.Close()
}

func (w Wish) ranges(others []Config, routes []netip.Prefix) (pods, services netip.Prefix, err error) {
	if w.ClusterCIDR == "" && w.ServiceCIDR == "" {
		if w.Sim { // addresses of simulated pods go nowhere, so they cannot meet others
			r := defaultRanges()[0]
			return r[0], r[1], nil
		}
		return freeRanges(others, routes)
	}
	defaults := defaultRanges()[0]
	if pods, err = prefix("--cluster-cidr", w.ClusterCIDR, defaults[0]); err != nil {
		return
	}
	if services, err = prefix("--service-cidr", w.ServiceCIDR, defaults[1]); err != nil {
		return
	}
	if pods.Overlaps(services) {
		err = fmt.Errorf("--cluster-cidr %s and --service-cidr %s overlap", pods, services)
	}
	return
}

func prefix(flag, value string, otherwise netip.Prefix) (netip.Prefix, error) {
	if value == "" {
		return otherwise, nil
	}
	p, err := netip.ParsePrefix(value)
	if err != nil || !p.Addr().Is4() || p.Bits() > 24 || p != p.Masked() {
		return p, fmt.Errorf("%s %q: want an IPv4 range of at least a /24 that begins on its own boundary, like %s", flag, value, otherwise)
	}
	return p, nil
}

// create writes the cluster's folder; cluster.json, which makes it a cluster, comes last.
func (c Config) create() error {
	if err := c.mkdirs(); err != nil {
		return err
	}
	if !c.Sim {
		dir := c.path("containerd")
		if err := errors.Join(os.MkdirAll(dir, 0o700), writeFile(filepath.Join(dir, "config.toml"), []byte(c.containerdConfig()))); err != nil {
			return err
		}
	}
	return c.save()
}

// start makes sure of the certificates, starts the supervisor and waits until the cluster is Ready.
func (c Config) start(kubeconfig string, wait time.Duration, out io.Writer) error {
	began := time.Now()
	if err := tryListen(c.Listen); err != nil && !c.answers() {
		return err
	}
	if err := c.credentials().Run(c.pki()); err != nil {
		return err
	}
	if err := c.spawn(); err != nil {
		return err
	}
	if err := c.awaitReady(began, wait, out); err != nil {
		return err
	}
	return c.publish(kubeconfig, out)
}
