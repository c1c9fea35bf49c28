package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"optimist/internal/pki"
	"optimist/internal/port"
)

// Wish is what the flags of `ctl up` ask for; zero values leave the choice to us.
type Wish struct {
	Name                     string
	Sim                      bool
	Nodes                    int // one real node is this machine itself; several have network namespaces of their own
	Port                     int
	ClusterCIDR, ServiceCIDR string
	Kubeconfig               string // where to put the context
	Wait                     time.Duration
	Open                     string // the address for other machines; "" = none
	SANs                     []string
	Systemd                  bool
	controllers              []string // names that need certificates
}

// Up makes the cluster, or starts it if it exists, and returns when it is Ready.
func Up(ctx context.Context, w Wish, out io.Writer) error {
	c, err := locate(w.Name)
	if err != nil {
		return err
	}
	if c.exists() {
		return Start(ctx, w, out)
	}
	c.Sim = w.Sim
	if err := w.check(c); err != nil {
		return err
	}
	if c, err = w.make(c); err != nil {
		return err
	}
	return c.start(ctx, w, out)
}

// make plans a cluster and writes its folder. Others who do the same wait, lest two clusters choose one port.
func (w Wish) make(c Config) (Config, error) {
	if err := c.mkdirs(); err != nil {
		return c, err
	}
	base, err := os.Open(filepath.Dir(c.Root))
	if err != nil {
		return c, err
	}
	defer base.Close()
	if err := awaitLock(base); err != nil {
		return c, fmt.Errorf("lock %s: %w", base.Name(), err)
	}
	if c.exists() { // somebody was faster
		return Load(w.Name)
	}
	if c, err = w.plan(c); err == nil {
		err = c.create()
	}
	if err != nil {
		return c, errors.Join(err, c.sweep())
	}
	return c, nil
}

// Start starts a stopped cluster, or adopts what a killed supervisor left running. One that runs it only waits for.
func Start(ctx context.Context, w Wish, out io.Writer) error {
	c, err := Load(w.Name)
	if err != nil {
		return err
	}
	w.tellIgnored(c, out)
	now, err := w.open(c)
	if err = errors.Join(err, w.check(c)); err != nil {
		return err
	}
	if c.supervisor() != 0 {
		if now.Open != c.Open || len(now.SANs) != len(c.SANs) || w.Systemd && !c.hasUnit() {
			return fmt.Errorf("cluster %q runs: --listen, --san and --systemd take effect when it is started (ctl stop --name %s, then ctl start with them)", c.Name, c.Name)
		}
		return c.running(ctx, w, out)
	}
	c = now
	if c.Bin, err = programs(); err != nil { // ctl may have moved since
		return err
	}
	c.controllers = w.controllers
	if err := errors.Join(c.mkdirs(), c.save()); err != nil {
		return err
	}
	return c.start(ctx, w, out)
}

// running is what becomes of up and start when the cluster runs already: it should be ready, and the user should know how to reach it.
func (c Config) running(ctx context.Context, w Wish, out io.Writer) error {
	fmt.Fprintf(out, "cluster %q runs already at https://%s; nothing to do\n", c.Name, c.Listen+c.Server)
	if err := c.awaitReady(ctx, time.Now(), w.Wait, io.Discard); err != nil {
		return fmt.Errorf("%w\n(it runs, but is not ready; start it anew: ctl stop --name %s, ctl start --name %s)", err, c.Name, c.Name)
	}
	if c.published(w.Kubeconfig) {
		return nil
	}
	return c.publish(w.Kubeconfig, out) // whoever began this was killed before they could say so
}

// tellIgnored names the flags that would have made another cluster than the one that is there.
func (w Wish) tellIgnored(c Config, out io.Writer) {
	for _, f := range []struct {
		given, differs bool
		flag, is       string
	}{
		{w.Sim, !c.Sim, "--sim", "it has real containers"},
		{w.Nodes > 1, w.Nodes != len(c.Nodes), "--nodes", strconv.Itoa(len(c.Nodes))},
		{w.Port != 0, c.Listen != w.address(w.Port), "--port", c.Listen},
		{w.ClusterCIDR != "", w.ClusterCIDR != c.ClusterCIDR.String(), "--cluster-cidr", c.ClusterCIDR.String()},
		{w.ServiceCIDR != "", w.ServiceCIDR != c.ServiceCIDR.String(), "--service-cidr", c.ServiceCIDR.String()},
	} {
		if f.given && f.differs {
			fmt.Fprintf(out, "%s changes nothing: cluster %q was made with another value (%s); ctl down removes it\n", f.flag, c.Name, f.is)
		}
	}
}

// plan decides what was left open: name of the nodes, port, ranges.
func (w Wish) plan(c Config) (Config, error) {
	var err error
	c.Sim, c.controllers = w.Sim, w.controllers
	c.Nodes = nodeNames(max(1, w.Nodes))
	if c.Bin, err = programs(); err != nil {
		return c, err
	}
	if c, err = w.open(c); err != nil {
		return c, err
	}
	if c.Listen, err = w.listen(List()); err != nil {
		return c, err
	}
	var used []taken
	if !w.Sim { // addresses of simulated pods go nowhere, so they cannot meet others
		used = takenHere(List(), routes())
	}
	if c.ClusterCIDR, c.ServiceCIDR, err = w.ranges(used); err != nil || w.Sim {
		return c, err
	}
	if c.Subnet, err = subnet(append(used, taken{c.ClusterCIDR, "the pods"}, taken{c.ServiceCIDR, "the Services"})); err != nil || len(c.Nodes) == 1 {
		return c, err
	}
	for _, node := range c.Nodes {
		c = c.admit(node)
	}
	return c, nil
}

func nodeNames(n int) (names []string) {
	for i := range n {
		names = append(names, "n"+strconv.Itoa(i+1))
	}
	return names
}

// listen takes the port that was asked for, or the first free one from 6443 on that no other cluster has a claim to.
func (w Wish) listen(others []Config) (string, error) {
	claimed := map[string]string{}
	for _, o := range others {
		claimed[o.Listen] = o.Name
	}
	take := func(port int) (string, error) {
		addr := w.address(port)
		if by := claimed[addr]; by != "" {
			return "", fmt.Errorf("--port %d belongs to cluster %q: choose another, or leave it to ctl", port, by)
		}
		if err := tryListen(addr); err != nil {
			return "", fmt.Errorf("--port %d: %w", port, err)
		}
		return addr, nil
	}
	if w.Port < 0 || w.Port > 65535 {
		return "", fmt.Errorf("--port %d: want 1 to 65535", w.Port)
	}
	if w.Port != 0 {
		return take(w.Port)
	}
	for p := 6443; p < 6543; p++ {
		if addr, err := take(p); err == nil {
			return addr, nil
		}
	}
	return "", errors.New("ports 6443 to 6542 are all in use; name a free one with --port")
}

func (w Wish) address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func tryListen(addr string) error {
	l, err := port.Listen(addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// create writes the cluster's folder; cluster.json, which makes it a cluster, comes last.
func (c Config) create() error {
	if err := c.mkdirs(); err != nil {
		return err
	}
	if !c.Sim {
		dir := c.path("containerd")
		if err := errors.Join(os.MkdirAll(dir, 0o700), pki.WriteFile(filepath.Join(dir, "config.toml"), []byte(c.containerdConfig()))); err != nil {
			return err
		}
	}
	return c.save()
}

// start makes sure of the certificates, starts the supervisor and waits until the cluster is Ready. What cannot run at all is stopped again.
func (c Config) start(ctx context.Context, w Wish, out io.Writer) error {
	began := time.Now()
	if c.Server == "" {
		for _, door := range c.doors() {
			if err := tryListen(door); err != nil && !c.recorded()["apiserver"].alive() && door != c.inside() {
				return fmt.Errorf("cluster %q cannot have its port: %w", c.Name, err)
			}
		}
		if err := c.credentials().Run(c.pki()); err != nil {
			return err
		}
	}
	if w.Systemd || c.hasUnit() {
		if err := c.install(); err != nil {
			return err
		}
	}
	if err := c.spawn(); err != nil {
		return err
	}
	err := c.awaitReady(ctx, began, w.Wait, out)
	var hopeless cannotRun
	switch {
	case errors.As(err, &hopeless):
		return errors.Join(err, c.signal(syscall.SIGTERM, stopPatience), fmt.Errorf("(cluster %q is stopped again; its data stays in %s)", c.Name, c.Root))
	case ctx.Err() != nil:
		fmt.Fprintf(out, "%v; cluster %q goes on without you: ctl start waits again, ctl down --name %s removes it\n", err, c.Name, c.Name)
		return err
	case err != nil:
		return fmt.Errorf("%w\n(it goes on running; look at %s, then ctl start, ctl stop or ctl down --name %s)", err, c.path("logs"), c.Name)
	}
	return c.publish(w.Kubeconfig, out)
}

// check finds out what is in the way, before anything is made.
func (w Wish) check(c Config) error {
	err := cmp.Or(checkSystem(), w.patience())
	if err == nil && !c.Sim {
		err = checkMachine()
	}
	if err == nil && w.Systemd {
		err = systemd.check()
	}
	if err == nil && c.Server == "" {
		if err = pki.CanMerge(w.Kubeconfig, w.Name); err != nil {
			err = fmt.Errorf("%w; or name another file with --kubeconfig", err)
		}
	}
	return err
}
