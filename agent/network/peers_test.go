//go:build linux

package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// machine is a node in a namespace of its own, with a pod.
type machine struct {
	Native
	Peer
	path, pod  string // namespaces
	podAddress string
}

// lab is two segments with a router between: n1 and n2 on 10.1.0.0/24, n3 on 10.2.0.0/24.
type lab struct {
	*testing.T
	router string
	nodes  []*machine
}

func newLab(t *testing.T) *lab {
	enterNode(t) // skips without root; the router is a namespace of its own
	l := &lab{T: t, router: namespace(t)}
	l.in(l.router, func() error {
		return errors.Join(command("ip link add seg1 type bridge"), command("ip link set seg1 up"), command("ip addr add 10.1.0.1/24 dev seg1"),
			os.WriteFile(forwarding, []byte("1"), 0o644))
	})
	for i, address := range []string{"10.1.0.2", "10.1.0.3", "10.2.0.2"} {
		m := &machine{path: namespace(t), pod: namespace(t)}
		m.Peer = Peer{fmt.Sprint("n", i+1), netip.MustParseAddr(address), netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", i+1)), true}
		l.nodes = append(l.nodes, m)
		port := fmt.Sprint("port", i+1)
		l.in(l.router, func() error {
			ns, err := netns.GetFromPath(m.path)
			if err != nil {
				return err
			}
			defer ns.Close()
			attrs := netlink.NewLinkAttrs()
			attrs.Name = port
			err = netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns)})
			if address == "10.2.0.2" {
				return errors.Join(err, command("ip addr add 10.2.0.1/24 dev "+port), command("ip link set "+port+" up"))
			}
			return errors.Join(err, command("ip link set "+port+" master seg1 up"))
		})
		l.in(m.path, func() error {
			return errors.Join(command("ip link set lo up"), command("ip addr add "+address+"/24 dev eth0"), command("ip link set eth0 up"),
				command("ip route add default via "+address[:5]+"0.1"), os.WriteFile(forwarding, []byte("0"), 0o644))
		})
		l.in(m.path, func() error { return m.Setup(context.Background(), m.config()) })
		l.in(m.path, func() error {
			a, err := m.Attach(context.Background(), "pod", m.pod, netip.Addr{})
			m.podAddress = a.String()
			return err
		})
		serve(t, m.pod, m.podAddress+":80")
		serve(t, m.path, address+":80")
	}
	return l
}

func (m *machine) config() Config {
	c := testConfig
	c.Node, c.PodCIDR = m.Name, m.PodCIDR
	return c
}

// meet tells each node of all, itself included.
func (l *lab) meet() {
	l.Helper()
	for _, m := range l.nodes {
		l.in(m.path, func() error { return m.Peers(context.Background(), l.peers()) })
	}
}

func (l *lab) peers() (all []Peer) {
	for _, m := range l.nodes {
		all = append(all, m.Peer)
	}
	return all
}

func (l *lab) in(path string, fn func() error) {
	l.Helper()
	elsewhere(l.T, path, fn)
}

func (l *lab) probe(m *machine) (err error) {
	l.in(m.path, func() error { err = m.Probe(context.Background()); return nil })
	return err
}

func command(line string) error {
	words := strings.Fields(line)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput() // in the namespace of the thread that it is forked from
	if err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}

// everyPair wants each pod to be seen by every other under its own address.
func (l *lab) everyPair() {
	l.Helper()
	for _, from := range l.nodes {
		for _, to := range l.nodes {
			if from != to {
				expectSeenAs(l.T, from.pod, to.podAddress+":80", from.podAddress)
			}
		}
	}
}

func TestPodsOfSeveralNodes(t *testing.T) {
	l := newLab(t)
	n1, n2, n3 := l.nodes[0], l.nodes[1], l.nodes[2]
	l.meet()
	l.everyPair()
	for _, c := range []struct{ from, to, want, why string }{
		{n1.path, n2.podAddress, "10.1.0.2", "a node is seen with its address on its own segment"},
		{n1.path, n3.podAddress, "10.244.1.0", "and elsewhere with one that the peer answers through the tunnel"},
		{n3.path, n1.podAddress, "10.244.3.0", "on both sides"},
		{n3.path, n3.podAddress, "10.2.0.2", "not by its own pods"},
		{n1.pod, "10.1.0.2", n1.podAddress, "its own node sees the pod"},
	} {
		expectSeenAs(t, c.from, c.to+":80", c.want)
	}
	l.in(n1.path, func() error {
		return errors.Join(expectRoute("10.244.2.0/24", "10.1.0.3", "eth0"), expectRoute("10.244.3.0/24", "10.244.3.0", tunnelName(n1.Native.config)))
	})
	for _, m := range l.nodes {
		check(t, l.probe(m))
	}
	for _, to := range []*machine{n2, n3} {
		wholePackets(t, n1, to)
		bulk(t, n1, to)
	}
	for _, m := range l.nodes {
		l.in(m.path, func() error {
			if err := m.Native.Teardown(context.Background()); err != nil {
				return err
			}
			return nothingLeft()
		})
	}
}

func expectRoute(to, via, dev string) error {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: protocol}, netlink.RT_FILTER_PROTOCOL)
	for _, r := range routes {
		if link, e := netlink.LinkByIndex(r.LinkIndex); e == nil && r.Dst.String() == to && r.Gw.String() == via && link.Attrs().Name == dev {
			return nil
		}
	}
	return errors.Join(err, fmt.Errorf("no route to %s via %s dev %s, but %v", to, via, dev, routes))
}

// nothingLeft wants a namespace as newLab made it.
func nothingLeft() error {
	links, _ := netlink.LinkList()
	routes, _ := netlink.RouteList(nil, netlink.FAMILY_V4)
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if len(links) != 2 || len(routes) != 2 || len(addresses) != 2 {
		err = errors.Join(err, fmt.Errorf("left: %v, %v, %v", links, routes, addresses))
	}
	return err
}

// wholePackets sends the largest UDP packet that a pod may, forbidding fragments.
func wholePackets(t *testing.T, from, to *machine) {
	t.Helper()
	var there net.PacketConn
	elsewhere(t, to.pod, func() (err error) { there, err = net.ListenPacket("udp4", to.podAddress+":99"); return err })
	defer there.Close()
	elsewhere(t, from.pod, func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err != nil || eth0.MTU != 1450 {
			return fmt.Errorf("MTU %v: %w", eth0, err)
		}
		c, err := net.Dial("udp4", to.podAddress+":99")
		if err != nil {
			return err
		}
		defer c.Close()
		raw, _ := c.(*net.UDPConn).SyscallConn()
		_ = raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
		})
		_, e := c.Write(make([]byte, eth0.MTU-28))
		return errors.Join(err, e)
	})
	_ = there.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, _, err := there.ReadFrom(make([]byte, 2000)); n != 1422 {
		t.Errorf("%s: %d bytes arrived, want 1422: %v", to.Name, n, err)
	}
}

// bulk sends 64 MiB by TCP.
func bulk(t *testing.T, from, to *machine) {
	t.Helper()
	const size = 64 << 20
	var there net.Listener
	elsewhere(t, to.pod, func() (err error) { there, err = net.Listen("tcp4", to.podAddress+":98"); return err })
	defer there.Close()
	got := make(chan int64, 1)
	go func() {
		n := int64(0)
		if c, err := there.Accept(); err == nil {
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			n, _ = io.Copy(io.Discard, c)
			c.Close()
		}
		got <- n
	}()
	began := time.Now()
	elsewhere(t, from.pod, func() error {
		c, err := net.DialTimeout("tcp4", to.podAddress+":98", 5*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = io.CopyN(c, zeros{}, size)
		return err
	})
	if n := <-got; n != size {
		t.Errorf("%s: %d of %d bytes arrived", to.Name, n, size)
	}
	t.Logf("%s to %s: %.0f MB/s", from.Name, to.Name, size/1e6/time.Since(began).Seconds())
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// What a killed agent left of nodes that are gone goes; what others made stays; what others removed comes back.
func TestRoutesFollowTheNodes(t *testing.T) {
	l := newLab(t)
	n1, n2, n3 := l.nodes[0], l.nodes[1], l.nodes[2]
	l.meet()
	l.everyPair()
	tunnel := tunnelName(n1.config())
	l.in(n1.path, func() error { // others' routes, also into our range
		return errors.Join(command("ip route add 10.244.77.0/24 via 10.1.0.1"), command("ip route add 10.99.0.0/24 via 10.1.0.1 proto 111"))
	})
	n1.Native = Native{} // a new agent
	l.in(n1.path, func() error { return n1.Setup(t.Context(), n1.config()) })
	further := []Peer{n3.Peer, {Name: "n4", Address: netip.MustParseAddr("10.3.0.2"), PodCIDR: netip.MustParsePrefix("10.244.4.0/24")}}
	l.in(n1.path, func() error { return n1.Peers(t.Context(), further) })
	l.in(n1.path, func() error {
		if expectRoute("10.244.2.0/24", "10.1.0.3", "eth0") == nil {
			return errors.New("the route to n2 is still there")
		}
		return errors.Join(expectRoute("10.244.4.0/24", "10.244.4.0", tunnel), expectEntries(tunnel, 2))
	})
	l.in(n1.path, func() error { return n1.Peers(t.Context(), []Peer{n3.Peer}) })
	l.in(n1.path, func() error { return expectEntries(tunnel, 1) })
	l.meet()
	l.in(n1.path, func() error {
		return errors.Join(command("ip route del 10.244.2.0/24"), command("ip neigh flush nud permanent dev "+tunnel), command("ip addr del 10.244.1.0/32 dev lo"),
			command("bridge fdb del "+mac("test", "n3").String()+" dev "+tunnel+" dst 10.2.0.2"))
	})
	l.meet()
	l.everyPair()
	l.in(n1.path, func() error { return command("ip link del " + tunnel) })
	l.in(n2.path, func() error { return command("ip link set eth0 down") }) // takes its routes along
	l.in(n2.path, func() error {
		return errors.Join(command("ip link set eth0 up"), command("ip route add default via 10.1.0.1"))
	})
	l.meet()
	l.everyPair()

	l.in(n3.path, func() error { // another address, as by DHCP
		return errors.Join(command("ip addr del 10.2.0.2/24 dev eth0"), command("ip addr add 10.2.0.9/24 dev eth0"), command("ip route add default via 10.2.0.1"))
	})
	n3.Address = netip.MustParseAddr("10.2.0.9")
	l.meet()
	l.everyPair()
	l.in(n1.path, func() error { return n1.Peers(t.Context(), []Peer{n2.Peer}) })
	l.in(n1.path, func() error {
		if _, err := netlink.LinkByName(tunnel); err == nil {
			return errors.New("a tunnel to nobody")
		}
		return n1.Native.Teardown(context.Background())
	})
	l.in(n1.path, func() error {
		return errors.Join(command("ip route del 10.244.77.0/24 via 10.1.0.1"), command("ip route del 10.99.0.0/24 via 10.1.0.1 proto 111"), nothingLeft())
	})
}

// expectEntries counts the peers that the tunnel knows.
func expectEntries(tunnel string, want int) error {
	link, err := netlink.LinkByName(tunnel)
	if err != nil {
		return err
	}
	for _, family := range []int{netlink.FAMILY_V4, unix.AF_BRIDGE} {
		if all, err := netlink.NeighList(link.Attrs().Index, family); len(all) != want {
			return errors.Join(err, fmt.Errorf("entries of family %d: %v, want %d", family, all, want))
		}
	}
	return nil
}

// A firewall that drops VXLAN is told of, with the port and the direction, until it is gone.
func TestProbeNamesWhatToOpen(t *testing.T) {
	l := newLab(t)
	n1, n3 := l.nodes[0], l.nodes[2]
	l.meet()
	for _, c := range []struct {
		rule   string // of n3's segment's firewall
		n1, n3 string
	}{
		{"oifname port3 udp dport 4789 drop", "", "nor does anything else, so let UDP port 4789 (VXLAN) into this node"},
		{"iifname port3 udp dport 4789 drop", "", "theirs arrive here, so let UDP port 4789 (VXLAN) out of this node, and into those"},
		{"meta l4proto tcp drop", "", ""},
	} {
		l.in(l.router, func() error {
			return errors.Join(command("nft add table ip fw"), command("nft add chain ip fw forward { type filter hook forward priority 0 ; }"),
				command("nft add rule ip fw forward "+c.rule))
		})
		_ = l.probe(n3) // sees what came before the rule
		for range 3 {   // n1's questions come to n3, or do not
			if err := l.probe(n1); (err != nil) != (c.n1 != "") {
				t.Errorf("%s: n1: %v", c.rule, err)
			}
		}
		if err := l.probe(n3); (err != nil) != (c.n3 != "") || err != nil && !(strings.Contains(err.Error(), c.n3) && strings.Contains(err.Error(), "n1 (10.1.0.2)")) {
			t.Errorf("%s: n3: %v; want %s", c.rule, err, c.n3)
		}
		l.in(l.router, func() error { return command("nft delete table ip fw") })
		check(t, l.probe(n3))
	}
	n3.PodCIDR = netip.MustParsePrefix("10.244.4.0/24") // nobody answers there
	l.in(n1.path, func() error { return n1.Peers(t.Context(), []Peer{n3.Peer}) })
	_ = l.probe(n1)
	if err := l.probe(n1); err == nil {
		t.Error("an answer from nowhere")
	}
	n3.Ready = false
	l.in(n1.path, func() error { return n1.Peers(t.Context(), []Peer{n3.Peer}) })
	check(t, l.probe(n1)) // nobody is there to ask
}

func TestWays(t *testing.T) {
	address := func(link int, cidr string) netlink.Addr {
		a := must(netlink.ParseAddr(cidr))(t)
		a.LinkIndex = link
		return *a
	}
	local := []netlink.Addr{address(lo, "10.7.0.1/8"), address(2, "10.1.0.2/16"), address(3, "10.1.1.2/24")}
	for _, c := range []struct {
		why           string
		name, at, pod string
		link          int // -1: none
	}{
		{"on the segment", "n2", "10.1.2.3", "10.244.2.0/24", 2},
		{"on the narrower of two", "n2", "10.1.1.3", "10.244.2.0/24", 3},
		{"elsewhere", "n2", "10.2.0.2", "10.244.2.0/24", 0},
		{"lo is no segment", "n2", "10.7.0.2", "10.244.2.0/24", 0},
		{"itself", "n1", "10.1.0.2", "10.244.1.0/24", -1},
		{"behind a NAT, with an address like ours", "n2", "10.1.0.2", "10.244.2.0/24", -1},
		{"it claims what is not the pods'", "n2", "10.1.2.3", "0.0.0.0/0", -1},
		{"or ours", "n2", "10.1.2.3", "10.244.0.0/16", -1},
	} {
		p := Peer{Name: c.name, Address: netip.MustParseAddr(c.at), PodCIDR: netip.MustParsePrefix(c.pod)}
		got := ways(testConfig, local, []Peer{p, {Name: "has nothing yet"}})
		if len(got) == 0 && c.link >= 0 || len(got) > 0 && got[0].link != c.link {
			t.Errorf("%s: %+v", c.why, got)
		}
	}
}
