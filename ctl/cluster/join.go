package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"optimist/internal/api"
	"optimist/internal/client"
	"optimist/internal/pki"
)

// Ticket is what the flags of `ctl join` say.
type Ticket struct {
	Wish                              // Name, Wait, Systemd
	Server, Token, Hash, Node, NodeIP string
}

func joinCommand() *cobra.Command {
	var t Ticket
	cmd, name := command("join SERVER:PORT --token ID.SECRET --ca-hash sha256:HASH", "Make this machine a node of a cluster whose API server is elsewhere")
	cmd.Example = "  ctl token create --print-join-command    on a machine of the cluster: prints the command for this one"
	cmd.Args = wants(1, 1)
	host, _ := os.Hostname()
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	cmd.Flags().StringVar(&t.Token, "token", "", "a token of the cluster")
	cmd.Flags().StringVar(&t.Hash, "ca-hash", "", "the `hash` by which the cluster's certificate authority is known")
	cmd.Flags().StringVar(&t.Node, "node-name", host, "the node's `name`")
	cmd.Flags().StringVar(&t.NodeIP, "node-ip", "", "the node's `address` (default: that of its way out, also when it changes)")
	cmd.Flags().BoolVar(&t.Systemd, "systemd", false, "have systemd start the node with the machine, and watch over it")
	cmd.Flags().DurationVar(&t.Wait, "wait", time.Minute, "how long to wait until the node is ready")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t.Name, t.Server = *name, args[0]
		return Join(cmd.Context(), t, cmd.OutOrStdout())
	}
	return cmd
}

var (
	validToken = regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`)
	validHash  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

func (t Ticket) check() error {
	const take = ": take the command that `ctl token create --print-join-command` prints where the cluster is"
	host, port, err := net.SplitHostPort(t.Server)
	_, noPort := strconv.ParseUint(port, 10, 16)
	ip, noIP := netip.ParseAddr(t.NodeIP)
	switch {
	case err != nil || host == "" || noPort != nil:
		return fmt.Errorf("%q is no HOST:PORT%s", t.Server, take)
	case !validToken.MatchString(t.Token):
		return errors.New("--token must be ID.SECRET, 6 and 16 lower-case letters and digits" + take)
	case !validHash.MatchString(t.Hash):
		return errors.New("--ca-hash must be sha256: and 64 hexadecimal digits" + take)
	case len(validation.IsDNS1123Subdomain(t.Node)) > 0 || len(t.Node) > 40:
		return fmt.Errorf("--node-name %q: want at most 40 lower-case letters, digits, dashes and dots", t.Node)
	case t.NodeIP != "" && (noIP != nil || !ip.Is4()):
		return fmt.Errorf("--node-ip %q is no IPv4 address", t.NodeIP)
	case t.Systemd:
		return systemd.check()
	}
	return nil
}

// Join makes this machine a node, and returns when that is Ready. Broken off at any point, it can be repeated: what makes the folder a node's,
// cluster.json, is written last. Of a node it sees to it that it runs.
func Join(ctx context.Context, t Ticket, out io.Writer) error {
	c, err := locate(t.Name)
	if err == nil {
		err = cmp.Or(t.check(), t.patience(), checkMachine(), c.owned("--node-ip", t.NodeIP))
	}
	if err != nil {
		return err
	}
	if c.exists() {
		if c, err = Load(t.Name); err != nil {
			return err
		}
		done, err := t.used(c)
		if err != nil {
			return err
		}
		if done {
			return Start(ctx, t.Wish, out)
		}
	}
	if c, err = t.enter(ctx, c); err != nil {
		return err
	}
	if agent := c.recorded()["agent-"+t.Node]; c.supervisor() != 0 && agent.PID != 0 { // it has the old certificate
		if err := kill(agent.PID, syscall.SIGTERM); err != nil {
			return err
		}
		return c.running(ctx, t.Wish, out)
	}
	return c.start(ctx, t.Wish, out)
}

// used reports whether this machine has joined already, with a certificate that is still good.
func (t Ticket) used(c Config) (bool, error) {
	if c.Server == "" {
		return false, fmt.Errorf("cluster %q has an API server of its own on this machine: join under another --name", c.Name)
	}
	a, err := pki.LoadKubeconfig(c.kubeconfig(), "")
	if err != nil { // it is lost or has expired: enter anew
		return false, nil
	}
	ca, err := pki.ParseCert(a.CA)
	if err == nil && (pki.Hash(ca) != t.Hash || c.Server != t.Server || c.Nodes[0] != t.Node || t.NodeIP != "" && t.NodeIP != c.NodeIP) {
		err = fmt.Errorf("this machine is node %q of the cluster at %s (%s, --node-ip %q) already: leave that first (ctl reset --name %s), or join under another --name", c.Nodes[0], c.Server, pki.Hash(ca), c.NodeIP, c.Name)
	}
	return true, err
}

// enter shows the token to the API server, which has to prove first who it is, and gets a certificate for it.
func (t Ticket) enter(ctx context.Context, c Config) (Config, error) {
	ctx, cancel := context.WithTimeout(ctx, t.Wait)
	defer cancel()
	ca, err := client.Pinned(ctx, t.Server, t.Hash)
	if err != nil {
		return c, err
	}
	svc, err := client.New(client.Config{Server: t.Server, CA: ca, Token: t.Token})
	if err != nil {
		return c, err
	}
	defer svc.Close()
	info, err := api.ConfigMaps.Get(ctx, svc, api.Key{Namespace: metav1.NamespacePublic, Name: "cluster-info"})
	if err != nil {
		return c, err
	}
	c.Cluster, c.Server, c.Nodes, c.NodeIP = info.Data["name"], t.Server, []string{t.Node}, t.NodeIP
	var faults [3]error
	c.ClusterCIDR, faults[0] = netip.ParsePrefix(info.Data["clusterCIDR"])
	c.ServiceCIDR, faults[1] = netip.ParsePrefix(info.Data["serviceCIDR"])
	c.Bin, faults[2] = programs()
	if err := errors.Join(faults[:]...); err != nil {
		return c, fmt.Errorf("kube-public/cluster-info: %w", err)
	}
	cert, key, err := pki.RequestNode(ctx, svc, t.Node)
	if err == nil {
		err = c.mkdirs()
	}
	if err == nil {
		err = pki.Access{Context: c.Cluster, User: api.NodePrefix + t.Node, Server: t.Server, CA: ca, Cert: cert, Key: key}.Write(c.kubeconfig())
	}
	if err != nil {
		return c, err
	}
	return c, c.create()
}

func resetCommand() *cobra.Command {
	cmd, name := command("reset", "Remove from this machine all that `ctl join` has made, also if it was broken off")
	yes := cmd.Flags().BoolP("yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if c, err := Load(*name); err == nil && c.Server == "" || c.begun() && c.authority() {
			return fmt.Errorf("cluster %q has its API server here, so nothing would be left of it: if you mean that, ctl down --name %s", *name, *name)
		}
		if err := confirm(cmd, *yes, fmt.Sprintf("End all containers of node %q and remove it from this machine?", *name)); err != nil {
			return err
		}
		_, err := remove(*name, cmd.OutOrStdout())
		return err
	}
	return cmd
}
