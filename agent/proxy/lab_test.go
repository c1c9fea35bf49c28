//go:build linux

package proxy

import (
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

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/network"
	"optimist/internal/api"
)

// A lab is a node (the test's own network namespace) with pods, another node's pod, and the world outside:
//
//	a 10.244.1.2 ┐                                 ┌ far 10.244.2.2 (a pod of node n2)
//	b 10.244.1.3 ┤── node n1 192.0.2.1 ── veth ── world 192.0.2.2
//	c 10.244.1.4 ┘
type lab struct {
	*testing.T
	*cluster
	nft    *NFT
	places map[string]string // name → path of its namespace; "" is the node itself
}

var config = network.Config{Cluster: "proxytest", Node: "n1", PodCIDR: netip.MustParsePrefix("10.244.1.0/24"),
	ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16")}

var ranges = Net{config.ClusterCIDR, config.ServiceCIDR, netip.MustParseAddr("10.96.0.10")}

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Getuid() != 0 || os.Getenv("OPTIMIST_NO_ROOT") != "" {
		t.Skip("NOT TESTED: real packets need root")
	}
	runtime.LockOSThread() // the thread and its namespace end with the test: nothing is left behind
	check(t, unix.Unshare(unix.CLONE_NEWNET))
	l := &lab{T: t, nft: NewNFT("proxytest", "n1", ranges), places: map[string]string{"node": ""}}
	lo, err := netlink.LinkByName("lo")
	check(t, errors.Join(err, netlink.LinkSetUp(lo)))
	check(t, os.WriteFile("/proc/sys/net/ipv4/icmp_ratelimit", []byte("0"), 0o644)) // how often a host is told that a port is unreachable
	l.world()
	l.address("uplink", "198.51.100.1/32")
	var native network.Native
	check(t, native.Setup(t.Context(), config))
	for i, pod := range []string{"a", "b", "c"} {
		l.places[pod] = l.namespace()
		ip, err := native.Attach(t.Context(), types.UID(pod), l.places[pod], netip.Addr{})
		check(t, err)
		if want := fmt.Sprintf("10.244.1.%d", i+2); ip.String() != want {
			t.Fatalf("pod %s has %s, want %s", pod, ip, want)
		}
	}
	for _, place := range []string{"a", "b", "c", "far", "world"} {
		l.serve(place)
	}
	l.cluster = newCluster(l.nft, "n1")
	return l
}

func (l *lab) world() {
	world := l.namespace()
	ns, err := netns.GetFromPath(world)
	check(l, err)
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "uplink"
	check(l, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "node", PeerNamespace: netlink.NsFd(ns)}))
	l.address("uplink", "192.0.2.1/24")
	link, err := netlink.LinkByName("uplink")
	check(l, err)
	check(l, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.IPv4(192, 0, 2, 2)}))
	l.places["world"], l.places["far"] = world, world
	l.in("world", func() {
		l.address("lo", "10.244.2.2/32")
		l.address("node", "192.0.2.2/24")
		link, err := netlink.LinkByName("node")
		check(l, err)
		for _, to := range []string{"10.244.1.0/24", "203.0.113.0/24", "10.96.0.0/16"} {
			_, dst, _ := net.ParseCIDR(to)
			check(l, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Gw: net.IPv4(192, 0, 2, 1), Src: net.IPv4(192, 0, 2, 2)}))
		}
	})
}

func (l *lab) address(link, address string) {
	found, err := netlink.LinkByName(link)
	check(l, err)
	a, err := netlink.ParseAddr(address)
	check(l, errors.Join(err, netlink.LinkSetUp(found), netlink.AddrAdd(found, a)))
}

// namespace ends with the test; a path opens it.
func (l *lab) namespace() string {
	var file *os.File
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			file, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		}
		done <- err
	}()
	check(l, <-done)
	l.Cleanup(func() { file.Close() })
	return fmt.Sprintf("/proc/self/fd/%d", file.Fd())
}

// in runs f at a place, on a thread of its own.
func (l *lab) in(place string, f func()) {
	path, ok := l.places[place]
	if !ok {
		l.Fatalf("no place %s", place)
	}
	if path == "" {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		ns, err := netns.GetFromPath(path)
		if err == nil {
			defer ns.Close()
			err = netns.Set(ns)
		}
		if err != nil {
			l.Error(err)
			return
		}
		f()
	}()
	<-done
}

// serve answers everybody with the place's name and whom it sees, on port 8080, by TCP and UDP.
func (l *lab) serve(place string) {
	l.in(place, func() {
		ip := map[string]string{"far": "10.244.2.2", "world": "192.0.2.2"}[place]
		tcp, err := net.Listen("tcp4", ip+":8080")
		check(l, err)
		udp, err := net.ListenPacket("udp4", ip+":8080")
		check(l, err)
		l.Cleanup(func() { tcp.Close(); udp.Close() })
		host := func(a net.Addr) string { h, _, _ := net.SplitHostPort(a.String()); return place + " " + h }
		go func() {
			for {
				c, err := tcp.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, host(c.RemoteAddr()))
				c.Close()
			}
		}()
		go func() {
			b := make([]byte, 9)
			for {
				_, from, err := udp.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = udp.WriteTo([]byte(host(from)), from)
			}
		}()
	})
}

// ask is answered with who served, and as whom it saw the client; or "refused", or "silence".
func (l *lab) ask(from, to string) string { return l.wait(from, to, 10*time.Second) }

func (l *lab) wait(from, to string, patience time.Duration) (answer string) {
	protocol, address, _ := strings.Cut(to, ":")
	l.in(from, func() {
		c, err := net.DialTimeout(protocol+"4", address, patience)
		if err == nil {
			defer c.Close()
			answer, err = exchange(c, patience)
		}
		if err != nil {
			answer = failure(err)
		}
	})
	return answer
}

func exchange(c net.Conn, patience time.Duration) (string, error) {
	_ = c.SetDeadline(time.Now().Add(patience))
	if c.RemoteAddr().Network() == "udp" {
		if _, err := c.Write([]byte("?")); err != nil {
			return "", err
		}
	}
	b := make([]byte, 99)
	n, err := c.Read(b)
	return string(b[:n]), err
}

func failure(err error) string {
	var late net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EPERM): // EPERM: by UDP, from the node itself
		return "refused"
	case errors.As(err, &late) && late.Timeout():
		return "silence"
	}
	return err.Error()
}

// expect asks as often as it takes to hear every answer that is wanted ("|" between them), and no other.
func (l *lab) expect(from, to, want string) {
	l.Helper()
	wanted := strings.Split(want, "|")
	heard := map[string]int{}
	if want == "silence" {
		if got := l.wait(from, to, 300*time.Millisecond); got != want {
			l.Errorf("%s → %s: %q, want %s", from, to, got, want)
		}
		return
	}
	for i := 0; i < 8 || i < 300 && len(heard) < len(wanted); i++ {
		got := l.ask(from, to)
		if heard[got]++; !strings.Contains("|"+want+"|", "|"+got+"|") {
			l.Errorf("%s → %s: %q, want %s", from, to, got, want)
			return
		}
	}
	if len(heard) < len(wanted) {
		l.Errorf("%s → %s: only %v, want %s", from, to, heard, want)
	}
}

func (l *lab) step(objects ...api.Object) {
	l.Helper()
	l.put(objects...)
	check(l, l.proxy.Step())
}

func open() *nftables.Conn { conn, _ := nftables.New(); return conn }
