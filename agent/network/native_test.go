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
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
)

var testConfig = Config{
	Cluster: "test", Node: "n1",
	PodCIDR:     netip.MustParsePrefix("10.244.1.0/24"),
	ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"),
	ServiceCIDR: netip.MustParsePrefix("10.96.0.0/12"),
}

// enterNode puts the test into a network namespace of its own, on a thread that ends with it: nothing is left behind. (No t.Run
// from here on: that is another goroutine.)
func enterNode(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 || os.Getenv("OPTIMIST_NO_ROOT") != "" {
		t.Skip("NOT TESTED: real links need root")
	}
	runtime.LockOSThread()
	check(t, unix.Unshare(unix.CLONE_NEWNET))
	up(t, "lo")
	check(t, os.WriteFile(forwarding, []byte("0"), 0o644))
}

// namespace is another network namespace, which ends with the test; a path opens it.
func namespace(t *testing.T) (path string) {
	t.Helper()
	var file *os.File
	elsewhere(t, "", func() (err error) {
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		file, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		return err
	})
	t.Cleanup(func() { file.Close() })
	return fmt.Sprintf("/proc/self/fd/%d", file.Fd())
}

// here is the path of the test's own namespace.
func here() string { return fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()) }

// elsewhere runs fn on a thread of its own, in the namespace if one is named.
func elsewhere(t *testing.T, path string, fn func() error) {
	t.Helper()
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if path != "" {
			ns, err := netns.GetFromPath(path)
			if err == nil {
				err = netns.Set(ns)
			}
			if err != nil {
				result <- err
				return
			}
		}
		result <- fn()
	}()
	check(t, <-result)
}

// serve answers each connection in the namespace with the address it came from.
func serve(t *testing.T, path, address string) {
	t.Helper()
	var l net.Listener
	elsewhere(t, path, func() (err error) {
		l, err = net.Listen("tcp4", address)
		return err
	})
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			_, _ = io.WriteString(c, host)
			c.Close()
		}
	}()
}

// seenAs connects and returns as whom the server saw it.
func seenAs(address string) (string, error) {
	// A dialer races addresses on goroutines of its own; a literal one is dialed on this thread.
	c, err := net.DialTimeout("tcp4", address, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	answer, err := io.ReadAll(c)
	return string(answer), err
}

func expectSeenAs(t *testing.T, path, address, want string) {
	t.Helper()
	elsewhere(t, path, func() error {
		got, err := seenAs(address)
		if err == nil && got != want {
			err = fmt.Errorf("%s saw %s, want %s", address, got, want)
		}
		return err
	})
}

func TestPodsReachEachOther(t *testing.T) {
	enterNode(t)
	var n Native
	setup(t, &n)
	defer teardown(t, &n)
	p1, p2 := namespace(t), namespace(t)
	a1, a2 := attach(t, &n, "p1", p1), attach(t, &n, "p2", p2)
	if a1.String() != "10.244.1.2" || a2.String() != "10.244.1.3" {
		t.Errorf("addresses %s and %s", a1, a2)
	}
	serve(t, p2, a2.String()+":80")
	expectSeenAs(t, p1, a2.String()+":80", a1.String()) // its own address, unmasked
}

func TestMTU(t *testing.T) {
	enterNode(t)
	var n Native
	world := namespace(t)
	connectWorld(t, world)
	setup(t, &n)
	defer teardown(t, &n)
	p1 := namespace(t)
	attach(t, &n, "p1", p1)
	elsewhere(t, p1, func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err == nil && eth0.MTU != 1350 {
			err = fmt.Errorf("mtu %d, the way out has 1400, of which VXLAN takes 50", eth0.MTU)
		}
		return err
	})
}

// connectWorld gives the node a default route to 192.0.2.2.
func connectWorld(t *testing.T, world string) {
	t.Helper()
	ns := must(netns.GetFromPath(world))(t)
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = "uplink", 1400
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "node", PeerNamespace: netlink.NsFd(ns)}))
	uplink := up(t, "uplink")
	check(t, netlink.AddrAdd(uplink, must(netlink.ParseAddr("192.0.2.1/30"))(t)))
	elsewhere(t, world, func() error {
		node, err := netlink.LinkByName("node")
		if err != nil {
			return err
		}
		address, _ := netlink.ParseAddr("192.0.2.2/30")
		return errors.Join(netlink.AddrAdd(node, address), netlink.LinkSetUp(node))
	})
	check(t, netlink.RouteAdd(&netlink.Route{LinkIndex: uplink.Attrs().Index, Gw: net.IPv4(192, 0, 2, 2)}))
}

// The DNS address is the node's own: pods and the node reach who listens there, and it is the source of nothing else.
func TestTheDNSAddressIsOnTheNode(t *testing.T) {
	for services, want := range map[string]string{"10.96.0.0/16": "10.96.0.10", "10.97.1.16/28": "10.97.1.26", "10.96.0.0/29": "invalid IP", "fd00::/64": "invalid IP"} {
		if got := DNSAddress(netip.MustParsePrefix(services)); got.String() != want {
			t.Errorf("DNSAddress(%s) = %s, want %s", services, got, want)
		}
	}
	enterNode(t)
	var n Native
	connectWorld(t, namespace(t))
	setup(t, &n)
	p1 := namespace(t)
	a1 := attach(t, &n, "p1", p1)
	serve(t, here(), "10.96.0.10:53")
	expectSeenAs(t, p1, "10.96.0.10:53", a1.String())
	if got := must(seenAs("10.96.0.10:53"))(t); got != "10.96.0.10" {
		t.Errorf("the node is seen as %s", got)
	}
	serve(t, p1, a1.String()+":80")
	if got := must(seenAs(a1.String() + ":80"))(t); got != "192.0.2.1" {
		t.Errorf("the pod sees its node as %s", got)
	}
	elsewhere(t, p1, func() error {
		if _, err := seenAs("10.96.0.10:54"); !errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("a port on which nobody listens: %w", err)
		}
		return nil
	})
	teardown(t, &n)
	if _, err := net.Listen("tcp4", "10.96.0.10:54"); err == nil {
		t.Error("the address is still there")
	}
}

func TestAttachIsIdempotentAndRepairs(t *testing.T) {
	enterNode(t)
	var n Native
	setup(t, &n)
	defer teardown(t, &n)
	p1 := namespace(t)
	first := attach(t, &n, "p1", p1)
	before := must(netlink.LinkByName(linkName(testConfig, "p1")))(t)
	if again := attach(t, &n, "p1", p1); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	if after := must(netlink.LinkByName(linkName(testConfig, "p1")))(t); after.Attrs().Index != before.Attrs().Index {
		t.Error("a whole wire was made anew")
	}
	check(t, netlink.LinkSetDown(before)) // takes the route with it
	serve(t, p1, first.String()+":80")
	attach(t, &n, "p1", p1)
	p2 := namespace(t)
	second := attach(t, &n, "p2", p2)
	expectSeenAs(t, p2, first.String()+":80", second.String())
	check(t, n.Detach(t.Context(), "p1"))
	check(t, n.Detach(t.Context(), "p1"))
	if _, err := netlink.LinkByName(before.Attrs().Name); err == nil {
		t.Error("detached, but the link is there")
	}
}

// A killed agent's successor finds the addresses by the links, and Keep removes what no pod has.
func TestRestart(t *testing.T) {
	enterNode(t)
	var old, n Native
	setup(t, &old)
	p1, p2, p3 := namespace(t), namespace(t), namespace(t)
	attach(t, &old, "p1", p1)
	a2 := attach(t, &old, "p2", p2)
	setup(t, &n)
	if got := attach(t, &n, "p2", p2); got != a2 {
		t.Errorf("p2 had %s, now %s", a2, got)
	}
	check(t, n.Keep(t.Context(), map[types.UID]netip.Addr{"p2": a2, "elsewhere": netip.MustParseAddr("10.244.1.4")}))
	if _, err := netlink.LinkByName(linkName(testConfig, "p1")); err == nil {
		t.Error("p1's link was kept")
	}
	if a3 := attach(t, &n, "p3", p3); a3 == a2 || a3.String() == "10.244.1.4" {
		t.Errorf("p3 got the address %s, which is in use", a3)
	}
	teardown(t, &n)
}

// The node of these tests has only loopback, like a laptop on a train.
func TestNodeWithoutNetworkReachesItsPods(t *testing.T) {
	enterNode(t)
	var n Native
	setup(t, &n)
	p1 := namespace(t)
	a1 := attach(t, &n, "p1", p1)
	serve(t, p1, a1.String()+":80")
	if got, err := seenAs(a1.String() + ":80"); err != nil || got != gateway.String() {
		t.Errorf("the pod saw %q (%v), want the gateway's address", got, err)
	}
	teardown(t, &n)
	for _, a := range must(netlink.AddrList(nil, netlink.FAMILY_V4))(t) {
		if !a.IP.IsLoopback() {
			t.Errorf("address left: %v", a)
		}
	}
}

func TestTeardownLeavesNothing(t *testing.T) {
	enterNode(t)
	var n Native
	setup(t, &n)
	setup(t, &n) // the second must not take the first's forwarding for what was there before
	attach(t, &n, "p1", namespace(t))
	other := testConfig
	other.Cluster = "other"
	var m Native
	check(t, m.Setup(t.Context(), other))
	teardown(t, &n)
	if links := must(netlink.LinkList())(t); len(links) != 1 {
		t.Errorf("links left: %v", links)
	}
	if on := must(os.ReadFile(forwarding))(t); strings.TrimSpace(string(on)) != "0" {
		t.Errorf("ip_forward = %s", on)
	}
	check(t, m.Teardown(t.Context()))
}

func TestLoopback(t *testing.T) {
	var l Loopback
	check(t, l.Setup(t.Context(), testConfig))
	if a := must(l.Attach(t.Context(), "p1", "", netip.Addr{}))(t); a.String() != "10.244.1.2" {
		t.Errorf("address %s", a)
	}
	check(t, l.Keep(t.Context(), map[types.UID]netip.Addr{"p9": netip.MustParseAddr("10.244.1.3")}))
	if a := must(l.Attach(t.Context(), "p2", "", netip.Addr{}))(t); a.String() != "10.244.1.4" {
		t.Errorf("address %s, want the one after p9's", a)
	}
	check(t, l.Detach(t.Context(), "p2"))
	check(t, l.Teardown(t.Context()))
}

func setup(t *testing.T, n Network) {
	t.Helper()
	check(t, n.Setup(t.Context(), testConfig))
}

func teardown(t *testing.T, n Network) {
	t.Helper()
	check(t, n.Teardown(context.WithoutCancel(t.Context())))
}

func attach(t *testing.T, n Network, pod types.UID, path string) netip.Addr {
	t.Helper()
	return must(n.Attach(t.Context(), pod, path, netip.Addr{}))(t)
}

func up(t *testing.T, name string) netlink.Link {
	t.Helper()
	link := must(netlink.LinkByName(name))(t)
	check(t, netlink.LinkSetUp(link))
	return link
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		check(t, err)
		return v
	}
}
