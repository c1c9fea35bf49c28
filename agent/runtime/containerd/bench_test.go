package containerd

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/network"
	"optimist/agent/runtime"
)

// BenchmarkPodStart compares starting a pod (sandbox, network, container) with the bare calls to containerd and the kernel that any
// such start needs, in pairs whose order alternates: on a busy machine only what runs side by side can be compared. It reports
// the median of the pairs' ratios, and the ratio of the best; 1.25 is the most we allow ourselves.
//
//	go test -run '^$' -bench PodStart -benchtime 40x ./agent/runtime/containerd
func BenchmarkPodStart(b *testing.B) {
	r := newMachine(b).node(b)
	goruntime.LockOSThread() // the links are made in a namespace that ends with this thread
	check(b, unix.Unshare(unix.CLONE_NEWNET))
	var native network.Native
	check(b, native.Setup(b.Context(), network.Config{
		Cluster: "bench", Node: "n1",
		PodCIDR: netip.MustParsePrefix("10.244.0.0/16"), ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"),
	}))
	plain := &plainStart{r: r, image: must(r.client.GetImage(r.in(b.Context()), "docker.io/"+busybox))(b)}

	var ours, theirs, ratios []float64
	for i := 0; b.Loop(); i++ {
		one := func() float64 { return timed(b, func() error { return startPod(b.Context(), r, &native, i) }) }
		other := func() float64 { return timed(b, func() error { return plain.start(b.Context(), b.TempDir(), i) }) }
		var a, c float64
		if i%2 == 0 {
			a, c = one(), other()
		} else {
			c, a = other(), one()
		}
		ours, theirs, ratios = append(ours, a), append(theirs, c), append(ratios, a/c)
		b.StopTimer()
		pod := types.UID(fmt.Sprintf("ours%d", i))
		check(b, plain.clear(b.Context()))
		check(b, native.Detach(b.Context(), pod))
		check(b, r.RemoveSandbox(b.Context(), pod)) // last: it takes the empty cgroup above with it
		b.StartTimer()
	}
	b.ReportMetric(median(ours), "ms/ours")
	b.ReportMetric(median(theirs), "ms/plain")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(ours[0]/theirs[0], "ratio-of-best") // the least disturbed of each; median has sorted them
}

func timed(b *testing.B, start func() error) (milliseconds float64) {
	b.Helper()
	began := time.Now()
	check(b, start())
	return float64(time.Since(began).Microseconds()) / 1000
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

func startPod(ctx context.Context, r *Runtime, n network.Network, i int) error {
	pod := types.UID(fmt.Sprintf("ours%d", i))
	box, err := r.StartSandbox(ctx, sandbox(pod))
	if err != nil {
		return err
	}
	address, err := n.Attach(ctx, pod, box.NetNS, netip.Addr{})
	if err != nil {
		return err
	}
	if err := r.SetAddress(ctx, pod, address, ""); err != nil {
		return err
	}
	return r.StartContainer(ctx, sh(r, runtime.ContainerID{Pod: pod, Name: "c"}, "sleep 1000"))
}

// plainStart is the least that starts a container in namespaces of its own with a wired network and a logger.
type plainStart struct {
	r     *Runtime
	image client.Image
	dir   string
	c     client.Container
}

func (p *plainStart) start(ctx context.Context, dir string, i int) error {
	p.dir = dir
	ctx = p.r.in(ctx)
	if err := pinNamespaces(dir, "plain", false); err != nil {
		return err
	}
	if err := p.wire(fmt.Sprintf("plain%d", i), net.IPv4(10, 245, byte(i>>8), byte(i))); err != nil {
		return err
	}
	leased, release, err := p.r.client.WithLease(ctx)
	if err != nil {
		return err
	}
	defer release(ctx)
	name := fmt.Sprintf("plain-%d", i)
	space := func(kind specs.LinuxNamespaceType, pin string) oci.SpecOpts {
		return oci.WithLinuxNamespace(specs.LinuxNamespace{Type: kind, Path: filepath.Join(dir, pin)})
	}
	p.c, err = p.r.client.NewContainer(leased, name, client.WithNewSnapshot(name, p.image), client.WithNewSpec(
		oci.WithImageConfig(p.image), oci.WithProcessArgs("sleep", "1000"), oci.WithCgroup(p.r.cfg.CgroupRoot+"/"+name),
		space(specs.NetworkNamespace, "net"), space(specs.IPCNamespace, "ipc"), space(specs.UTSNamespace, "uts")))
	if err != nil {
		return err
	}
	task, err := p.c.NewTask(ctx, cio.BinaryIO(p.r.cfg.LoggerPath, map[string]string{"-file": filepath.Join(dir, "log")}))
	if err != nil {
		return err
	}
	return task.Start(ctx)
}

func (p *plainStart) wire(name string, ip net.IP) error {
	inside, err := netns.GetFromPath(filepath.Join(p.dir, "net"))
	if err != nil {
		return err
	}
	defer inside.Close()
	pod, err := netlink.NewHandleAt(inside, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer pod.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(inside)}
	if err := netlink.LinkAdd(veth); err != nil {
		return err
	}
	eth0, err := pod.LinkByName("eth0")
	if err != nil {
		return err
	}
	host := &net.IPNet{IP: ip, Mask: net.CIDRMask(32, 32)}
	if err := pod.AddrAdd(eth0, &netlink.Addr{IPNet: host}); err != nil {
		return err
	}
	if err := pod.LinkSetUp(eth0); err != nil {
		return err
	}
	if err := pod.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}}); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: veth.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: host})
}

func (p *plainStart) clear(ctx context.Context) error {
	ctx = p.r.in(ctx)
	task, err := p.c.Task(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := task.Delete(ctx, client.WithProcessKill); err != nil {
		return err
	}
	if err := p.c.Delete(ctx, client.WithSnapshotCleanup); err != nil {
		return err
	}
	os.Remove(filepath.Join(p.dir, "log"))
	return unpin(p.dir)
}
