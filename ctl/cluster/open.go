package cluster

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"optimist/internal/port"
)

// flags are those of up and start.
func (w *Wish) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.Open, "listen", "", "let other machines join: the `address` of this one at which they reach the API server, or 0.0.0.0 for all of its addresses (default: they do not)")
	cmd.Flags().StringArrayVar(&w.SANs, "san", nil, "a further `name or address` of this machine, for the API server's certificate; the first is what others are told to use (repeatable)")
	cmd.Flags().DurationVar(&w.Wait, "wait", time.Minute, "how long to wait until it is ready")
	cmd.Flags().BoolVar(&w.Systemd, "systemd", false, "have systemd start the cluster with the machine, and watch over it")
}

// patience reports a --wait in which nothing can become ready.
func (w Wish) patience() error {
	if w.Wait <= 0 {
		return fmt.Errorf("--wait %s: want a time above 0, like 1m", w.Wait)
	}
	return nil
}

// owned reports an address that is not this machine's; "" is none.
func (c Config) owned(flag, address string) error {
	if address == "" || tryListen(net.JoinHostPort(address, "0")) == nil {
		return nil
	}
	return fmt.Errorf("%s %s: this machine has no such address; it has %s", flag, address, cmp.Or(strings.Join(c.addresses(), ", "), "none"))
}

// open takes over what the flags say; whether anything changes can be told from the result.
func (w Wish) open(c Config) (Config, error) {
	if c.Server != "" && (w.Open != "" || len(w.SANs) > 0) {
		return c, fmt.Errorf("--listen and --san are for the API server of cluster %q, which is elsewhere (%s): say them there", c.Cluster, c.Server)
	}
	if w.Open != "" {
		if a, err := netip.ParseAddr(w.Open); err != nil || !a.Is4() || a.IsLoopback() || w.Sim || c.Sim {
			return c, fmt.Errorf("--listen %s: want an IPv4 address of this machine other than loopback, or 0.0.0.0, and real containers", w.Open)
		}
		if err := c.owned("--listen", w.Open); err != nil {
			return c, err
		}
		c.Open = w.Open
	}
	for _, name := range w.SANs {
		if _, err := netip.ParseAddr(name); err != nil && len(validation.IsDNS1123Subdomain(name)) > 0 {
			return c, fmt.Errorf("--san %q: want a name of lower-case letters, digits, dashes and dots, or an IP address", name)
		}
		if !slices.Contains(c.SANs, name) {
			c.SANs = append(slices.Clone(c.SANs), name)
		}
	}
	return c, nil
}

const everywhere = "0.0.0.0"

// doors are the addresses at which the API server listens: for those on this machine, on others, and in network namespaces here.
func (c Config) doors() []string {
	_, port, _ := net.SplitHostPort(c.Listen)
	if c.Open == everywhere {
		return []string{net.JoinHostPort(everywhere, port)}
	}
	all := []string{c.Listen}
	if c.Open != "" {
		all = append(all, net.JoinHostPort(c.Open, port))
	}
	if c.Subnet.IsValid() {
		all = append(all, c.inside())
	}
	return all
}

// hosts are the names and addresses by which others may call this machine; the first is what they are told to use.
func (c Config) hosts() []string {
	all := slices.Clone(c.SANs)
	if c.Open == everywhere {
		return append(all, c.addresses()...)
	}
	if c.Open != "" {
		all = append(all, c.Open)
	}
	return all
}

// addresses are this machine's, the one of its way out first.
func (c Config) addresses() (all []string) {
	if out := port.Outward(); out != "" {
		all = append(all, out)
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if ip := p.Addr(); err == nil && ip.Is4() && ip.IsGlobalUnicast() && !c.Subnet.Contains(ip) && !c.ClusterCIDR.Contains(ip) && !c.ServiceCIDR.Contains(ip) && !slices.Contains(all, ip.String()) {
			all = append(all, ip.String())
		}
	}
	return all
}

// serverFlags are the API server's.
func (c Config) serverFlags() []string {
	flags := []string{"--name", c.Name, "--data", c.path("store.db"), "--pki", c.pki(), "--cluster-cidr", c.ClusterCIDR.String(), "--service-cidr", c.ServiceCIDR.String(), "--host", "127.0.0.1"}
	for _, door := range c.doors() {
		flags = append(flags, "--listen", door)
	}
	for i, host := range c.hosts() {
		if flags = append(flags, "--host", host); i == 0 && c.Open != "" {
			flags = append(flags, "--join-host", host)
		}
	}
	if c.Subnet.IsValid() {
		flags = append(flags, "--host", c.gateway().String())
	}
	if addresses := c.addresses(); c.Open == everywhere && len(addresses) > 0 {
		flags = append(flags, "--advertise-address", addresses[0])
	}
	return flags
}
