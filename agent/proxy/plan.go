package proxy

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"optimist/internal/api"
)

// Element is one entry of a set or map of the table. Keys and values are laid out as the kernel has them: fields padded to four bytes.
type Element struct{ Set, Key string }

// Model is what is, or shall be, programmed: each element's value. In maps of verdicts that is a chain's name or "drop", in sets "".
type Model map[Element]string

// endpoint is an address and port behind a Service's port.
type endpoint struct {
	netip.AddrPort
	rank  int // 0 = ready, 1 = terminating but still serving, 2 = neither
	local bool
}

// Who is hidden behind the node's address (masqueraded) on the way to an endpoint.
const (
	everybody = "all"  // the answer must come back through this node
	outsiders = "pods" // all but pods: a node's own connection may have an address that its peers do not know
	nobody    = "none" // endpoints are on this node: the answer comes through it anyway
)

var (
	protocols    = map[corev1.Protocol]byte{corev1.ProtocolTCP: 6, corev1.ProtocolUDP: 17, corev1.ProtocolSCTP: 132}
	everyAddress = netip.IPv4Unspecified() // stands for all of the node's own: that is where node ports are
)

// plan is what one Service wants of a node, by kube-proxy's rules (pkg/proxy/topology.go, pkg/proxy/nftables): a policy Local leaves only this node's
// endpoints; without any here packets are dropped, so that a balancer tries elsewhere, but without any anywhere they are refused. From pods and from
// the node itself externalTrafficPolicy Local reaches all endpoints. The Service at the DNS address is not programmed: the node itself answers.
func plan(s *corev1.Service, in []*discoveryv1.EndpointSlice, node string, dns netip.Addr) Model {
	m := Model{}
	address, err := netip.ParseAddr(s.Spec.ClusterIP) // a headless one has "None"
	if _, others := s.Labels["service.kubernetes.io/service-proxy-name"]; others || err != nil || !address.Is4() || address == dns {
		return m
	}
	sticky := or(or(s.Spec.SessionAffinityConfig, corev1.SessionAffinityConfig{}).ClientIP, corev1.ClientIPConfig{})
	for _, port := range s.Spec.Ports {
		all := endpoints(in, port, node)
		everywhere, here := serving(all, false), serving(all, true)
		internal, external, p := everywhere, everywhere, pick{hidden: outsiders, seconds: or(sticky.TimeoutSeconds, 0), otherwise: "drop"}
		if len(everywhere) == 0 {
			p.otherwise = "refuse"
		}
		if or(s.Spec.InternalTrafficPolicy, "") == corev1.ServiceInternalTrafficPolicyLocal {
			internal = here
		}
		m.serve("any", frontend(address, port.Protocol, port.Port), internal, p)
		for _, front := range outside(s, port) {
			if p.hidden = everybody; s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
				p.hidden = outsiders
				m.serve("inside", front, everywhere, p)
				p.hidden, external = nobody, here
			}
			m.serve("any", front, external, p)
		}
	}
	return m
}

// outside are the frontends beside the ClusterIP: externalIPs, a load balancer's addresses, the node port.
func outside(s *corev1.Service, port corev1.ServicePort) (all []string) {
	ips := slices.Clone(s.Spec.ExternalIPs)
	for _, in := range s.Status.LoadBalancer.Ingress {
		if or(in.IPMode, corev1.LoadBalancerIPModeVIP) == corev1.LoadBalancerIPModeVIP {
			ips = append(ips, in.IP)
		}
	}
	for _, text := range ips {
		if ip, err := netip.ParseAddr(text); err == nil && ip.Is4() {
			all = append(all, frontend(ip, port.Protocol, port.Port))
		}
	}
	if port.NodePort != 0 {
		all = append(all, frontend(everyAddress, port.Protocol, port.NodePort))
	}
	return all
}

// hostPorts is what a pod wants: each is a frontend with one backend, at one of the node's addresses or at all.
func hostPorts(p *corev1.Pod) Model {
	m := Model{}
	to, err := netip.ParseAddr(p.Status.PodIP)
	if err != nil || p.Spec.HostNetwork || api.Ended(p) {
		return m
	}
	for _, port := range api.HostPorts(p) {
		if at, err := netip.ParseAddr(cmp.Or(port.HostIP, "0.0.0.0")); err == nil && at.Is4() && !at.IsLoopback() {
			m.serve("any", frontend(at, port.Protocol, port.HostPort), []endpoint{{netip.AddrPortFrom(to, uint16(port.ContainerPort)), 0, true}}, pick{hidden: nobody})
		}
	}
	return m
}

func (m Model) serve(scope, front string, from []endpoint, p pick) {
	p.scope, p.count, p.at = scope, len(from), "ip"
	if strings.HasPrefix(front, key(everyAddress)) {
		p.at = "nodeport"
	}
	m[Element{scope + "_services", front}] = p.verdict()
	for i, e := range from {
		ip := key(e.Addr())
		to := ip + portKey(int32(e.Port()))
		m[Element{scope + "_backends", front + string(binary.NativeEndian.AppendUint32(nil, uint32(i)))}] = to
		if p.seconds > 0 {
			m[Element{scope + "_alive", front + to}] = ""
		}
		if e.local {
			m[Element{"hairpin", ip + ip}] = ""
		}
	}
}

// frontend is a port at an address: the first 12 bytes of most keys. With 4 of a number it names a backend.
func frontend(ip netip.Addr, protocol corev1.Protocol, port int32) string {
	return key(ip) + string([]byte{protocols[protocol], 0, 0, 0}) + portKey(port)
}

func key(ip netip.Addr) string { return string(ip.AsSlice()) }

func portKey(port int32) string { return string([]byte{byte(port >> 8), byte(port), 0, 0}) }

// endpoints are all that slices name for the port, sorted; of several with one address the readiest counts.
func endpoints(in []*discoveryv1.EndpointSlice, port corev1.ServicePort, node string) (all []endpoint) {
	for _, slice := range in {
		i := slices.IndexFunc(slice.Ports, func(p discoveryv1.EndpointPort) bool {
			return or(p.Name, "") == port.Name && or(p.Protocol, corev1.ProtocolTCP) == port.Protocol && p.Port != nil
		})
		for _, e := range slice.Endpoints {
			ip, err := netip.ParseAddr(append(e.Addresses, "")[0]) // there may be more, but the API says that only the first counts
			if i < 0 || err != nil || !ip.Is4() {
				continue
			}
			rank := 2
			if or(e.Conditions.Ready, true) {
				rank = 0
			} else if or(e.Conditions.Serving, true) && or(e.Conditions.Terminating, false) {
				rank = 1
			}
			all = append(all, endpoint{netip.AddrPortFrom(ip, uint16(*slice.Ports[i].Port)), rank, or(e.NodeName, "") == node})
		}
	}
	slices.SortFunc(all, func(a, b endpoint) int { return cmp.Or(a.Compare(b.AddrPort), a.rank-b.rank) })
	return slices.CompactFunc(all, func(a, b endpoint) bool { return a.AddrPort == b.AddrPort })
}

// serving are those that are ready; where none is, those that terminate serve until they are done (KEP-1669). here: only this node's.
func serving(all []endpoint, here bool) (found []endpoint) {
	for rank := 0; rank < 2 && len(found) == 0; rank++ {
		for _, e := range all {
			if e.rank == rank && (e.local || !here) {
				found = append(found, e)
			}
		}
	}
	return found
}

// or is what a pointer points to.
func or[T any](p *T, otherwise T) T { return *cmp.Or(p, &otherwise) }

// pick is a chain that sends a connection to one of so many backends. Its name says all about it, so that Services of a kind share it.
type pick struct {
	scope     string // whose maps it reads: any, or inside for connections from pods and the node where outsiders are treated differently
	at        string // the frontend is an ip or a nodeport
	hidden    string // everybody, outsiders or nobody
	count     int    // of backends
	seconds   int32  // that a client stays with its backend; 0 = not
	otherwise string // the verdict without any backend; not in the name
}

func (p pick) verdict() string {
	if p.count == 0 {
		return p.otherwise
	}
	return fmt.Sprintf("pick_%d_%s_%s_%s_%d", p.count, p.scope, p.at, p.hidden, p.seconds)
}

func parsePick(name string) (p pick, ok bool) {
	_, err := fmt.Sscanf(strings.ReplaceAll(name, "_", " "), "pick %d %s %s %s %d", &p.count, &p.scope, &p.at, &p.hidden, &p.seconds)
	return p, err == nil
}
