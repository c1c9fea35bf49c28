package kinds

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/apiserver/store"
	"optimist/internal/api"
)

// The cluster's scarce things, each a key:
//
//	/claims/podcidr/10.244.3.0/24      → n1
//	/claims/clusterip/10.96.14.2       → default/web
//	/claims/nodeport/30080             → default/web
//	/claims/priorityclass-default      → normal
//	/claims/priorityclass/<name>       → the class's value and policy, which pods look up

const (
	podCIDRs   = "/claims/podcidr/"
	clusterIPs = "/claims/clusterip/"
	nodePorts  = "/claims/nodeport/"
)

// Node ports are those that Kubernetes uses unless told otherwise.
const (
	firstNodePort = 30000
	lastNodePort  = 32767
)

// claimNode gives a Node its part of the pods' range in the transaction that creates it. Without a range the network is somebody else's.
func claimNode(ctx context.Context, c registry.Claimer, before, after api.Object) (store.Txn, error) {
	old, now := of[*corev1.Node](before), of[*corev1.Node](after)
	l := newLedger(c.Store, nameOf(before, after), podCIDRKeys(old))
	switch {
	case now == nil:
		return l.txn(), nil
	case now.Spec.PodCIDR != "":
		if err := takePodCIDR(ctx, l, now); err != nil {
			return store.Txn{}, err
		}
	case c.ClusterCIDR.IsValid():
		if err := choosePodCIDR(ctx, l, c.Ranges, now); err != nil {
			return store.Txn{}, err
		}
	}
	return l.txn(), nil
}

func podCIDRKeys(n *corev1.Node) []string {
	if n == nil || n.Spec.PodCIDR == "" {
		return nil
	}
	return []string{podCIDRs + n.Spec.PodCIDR}
}

func takePodCIDR(ctx context.Context, l *ledger, n *corev1.Node) error {
	ok, err := l.take(ctx, podCIDRs+n.Spec.PodCIDR)
	if err != nil || ok {
		return err
	}
	return api.NodeKind.Invalid(n.Name, field.ErrorList{
		field.Invalid(field.NewPath("spec", "podCIDR"), n.Spec.PodCIDR, "belongs to another node; leave it out to be given a free one")})
}

func choosePodCIDR(ctx context.Context, l *ledger, r registry.Ranges, n *corev1.Node) error {
	cidr := func(i int) string { return subnet(r.ClusterCIDR, r.NodeBits, i).String() }
	at, err := l.takeAny(ctx, pool{prefix: podCIDRs, size: subnets(r.ClusterCIDR, r.NodeBits), key: func(i int) string { return podCIDRs + cidr(i) }})
	if err != nil {
		return err
	}
	if at < 0 {
		return api.NodeKind.Invalid(n.Name, field.ErrorList{field.Invalid(field.NewPath("spec", "podCIDR"), "",
			fmt.Sprintf("all %d ranges of /%d in %s belong to nodes; delete a Node, or start the cluster with a larger --cluster-cidr",
				subnets(r.ClusterCIDR, r.NodeBits), r.NodeBits, r.ClusterCIDR))})
	}
	n.Spec.PodCIDR, n.Spec.PodCIDRs = cidr(at), []string{cidr(at)}
	return nil
}

// maxPool bounds how many keys of a huge range are considered.
const maxPool = 1 << 20

// subnets is how many parts of a size fit into a range.
func subnets(whole netip.Prefix, bits int) int {
	if bits < whole.Bits() || bits > 32 {
		return 0
	}
	return min(1<<(bits-whole.Bits()), maxPool)
}

// subnet is the i-th part of a range.
func subnet(whole netip.Prefix, bits, i int) netip.Prefix {
	return netip.PrefixFrom(addressAt(whole, i<<(32-bits)), bits)
}

// addressAt is the i-th address of a range.
func addressAt(whole netip.Prefix, i int) netip.Addr {
	first := whole.Masked().Addr().As4()
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(first[:])+uint32(i))
	return netip.AddrFrom4(b)
}

// claimService gives a Service its address and its node ports, and takes back those that it no longer needs.
func claimService(ctx context.Context, c registry.Claimer, before, after api.Object) (store.Txn, error) {
	old, now := of[*corev1.Service](before), of[*corev1.Service](after)
	l := newLedger(c.Store, nameOf(before, after), serviceKeys(old))
	if now == nil {
		return l.txn(), nil
	}
	if needsClusterIP(now) && now.Spec.ClusterIP != corev1.ClusterIPNone {
		if err := claimClusterIP(ctx, l, c.ServiceCIDR, now); err != nil {
			return store.Txn{}, err
		}
	}
	if err := claimNodePorts(ctx, l, now); err != nil {
		return store.Txn{}, err
	}
	return l.txn(), nil
}

func serviceKeys(s *corev1.Service) (keys []string) {
	if s == nil {
		return nil
	}
	if s.Spec.ClusterIP != "" && s.Spec.ClusterIP != corev1.ClusterIPNone {
		keys = append(keys, clusterIPs+s.Spec.ClusterIP)
	}
	for _, p := range s.Spec.Ports {
		if p.NodePort != 0 {
			keys = append(keys, nodePortKey(p.NodePort))
		}
	}
	if s.Spec.HealthCheckNodePort != 0 {
		keys = append(keys, nodePortKey(s.Spec.HealthCheckNodePort))
	}
	return keys
}

func nodePortKey(number int32) string { return fmt.Sprintf("%s%d", nodePorts, number) }

// isAPIServer: the first address of the range is kept for the Service by which pods find the API.
func isAPIServer(s *corev1.Service) bool { return s.Namespace == "default" && s.Name == "kubernetes" }

func claimClusterIP(ctx context.Context, l *ledger, r netip.Prefix, s *corev1.Service) error {
	if !r.IsValid() {
		return apierrors.NewInternalError(errors.New("the API server knows no range for Services; start it with --service-cidr"))
	}
	switch {
	case s.Spec.ClusterIP == "" && isAPIServer(s):
		s.Spec.ClusterIP = addressAt(r, 1).String()
	case s.Spec.ClusterIP == "":
		return chooseClusterIP(ctx, l, r, s)
	}
	if err := takeClusterIP(ctx, l, r, s); err != nil {
		return err
	}
	s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	return nil
}

// hosts is how many addresses of a range can be given: neither the first, which names the network, nor the last, which means all.
func hosts(r netip.Prefix) int { return subnets(r, 32) - 2 }

func takeClusterIP(ctx context.Context, l *ledger, r netip.Prefix, s *corev1.Service) error {
	refuse := func(why string) error {
		return api.ServiceKind.Invalid(s.Name, field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIPs"), s.Spec.ClusterIPs,
			fmt.Sprintf("failed to allocate IP %s: %s", s.Spec.ClusterIP, why))})
	}
	ip, err := netip.ParseAddr(s.Spec.ClusterIP)
	last := addressAt(r, 1<<(32-r.Bits())-1)
	key := clusterIPs + s.Spec.ClusterIP
	switch {
	case l.held[key]: // an address stays even when the range is changed
	case err != nil || !r.Contains(ip) || ip == r.Masked().Addr() || ip == last:
		return refuse(fmt.Sprintf("the provided IP (%s) is not in the valid range. The range of valid IPs is %s", s.Spec.ClusterIP, r.Masked()))
	case ip == addressAt(r, 1) && !isAPIServer(s):
		return refuse("provided IP is already allocated")
	}
	if ok, err := l.take(ctx, key); err != nil {
		return err
	} else if !ok {
		return refuse("provided IP is already allocated")
	}
	return nil
}

func chooseClusterIP(ctx context.Context, l *ledger, r netip.Prefix, s *corev1.Service) error {
	const reserved = 2 // the network's own, and the API server's
	ip := func(i int) string { return addressAt(r, i+reserved).String() }
	at, err := l.takeAny(ctx, pool{prefix: clusterIPs, size: hosts(r) - 1, key: func(i int) string { return clusterIPs + ip(i) }})
	if err != nil {
		return err
	}
	if at < 0 {
		return apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP: range is full: all addresses of %s are in use; delete a Service, or start the cluster with a larger --service-cidr", r))
	}
	s.Spec.ClusterIP, s.Spec.ClusterIPs = ip(at), []string{ip(at)}
	return nil
}

// claimNodePorts first takes the ports that were asked for, so that none of them is chosen for another.
func claimNodePorts(ctx context.Context, l *ledger, s *corev1.Service) error {
	numbers := map[int32]int32{} // by port: the same port of another protocol shares the number
	for i, p := range s.Spec.Ports {
		if p.NodePort == 0 {
			continue
		}
		if err := takeNodePort(ctx, l, s, p.NodePort, field.NewPath("spec", "ports").Index(i).Child("nodePort")); err != nil {
			return err
		}
		numbers[p.Port] = p.NodePort
	}
	if needsNodePorts(s) {
		if err := chooseNodePorts(ctx, l, s, numbers); err != nil {
			return err
		}
	}
	return claimHealthPort(ctx, l, s)
}

func takeNodePort(ctx context.Context, l *ledger, s *corev1.Service, number int32, p *field.Path) error {
	refuse := func(why string) error {
		return api.ServiceKind.Invalid(s.Name, field.ErrorList{field.Invalid(p, number, why)})
	}
	if number < firstNodePort || number > lastNodePort {
		return refuse(fmt.Sprintf("provided port is not in the valid range. The range of valid ports is %d-%d", firstNodePort, lastNodePort))
	}
	if ok, err := l.take(ctx, nodePortKey(number)); err != nil {
		return err
	} else if !ok {
		return refuse("provided port is already allocated")
	}
	return nil
}

func chooseNodePorts(ctx context.Context, l *ledger, s *corev1.Service, numbers map[int32]int32) error {
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		if p.NodePort != 0 {
			continue
		}
		if shared, ok := numbers[p.Port]; ok && !usesNodePort(s, shared, p.Protocol) {
			p.NodePort = shared
			continue
		}
		number, err := chooseNodePort(ctx, l)
		if err != nil {
			return err
		}
		p.NodePort, numbers[p.Port] = number, number
	}
	return nil
}

func usesNodePort(s *corev1.Service, number int32, protocol corev1.Protocol) bool {
	for _, p := range s.Spec.Ports {
		if p.NodePort == number && p.Protocol == protocol {
			return true
		}
	}
	return false
}

func chooseNodePort(ctx context.Context, l *ledger) (int32, error) {
	at, err := l.takeAny(ctx, pool{prefix: nodePorts, size: lastNodePort - firstNodePort + 1, key: func(i int) string { return nodePortKey(int32(firstNodePort + i)) }})
	if err != nil {
		return 0, err
	}
	if at < 0 {
		return 0, apierrors.NewInternalError(fmt.Errorf("failed to allocate a nodePort: range is full: all ports %d-%d are in use; delete a Service of type NodePort", firstNodePort, lastNodePort))
	}
	return int32(firstNodePort + at), nil
}

// claimHealthPort: load balancers that must not send to nodes without pods ask each node at this port.
func claimHealthPort(ctx context.Context, l *ledger, s *corev1.Service) (err error) {
	if !needsHealthPort(s) {
		return nil
	}
	if s.Spec.HealthCheckNodePort != 0 {
		return takeNodePort(ctx, l, s, s.Spec.HealthCheckNodePort, field.NewPath("spec", "healthCheckNodePort"))
	}
	s.Spec.HealthCheckNodePort, err = chooseNodePort(ctx, l)
	return err
}

// of is a typed object, or nil.
func of[T api.Object](o api.Object) T {
	typed, _ := o.(T)
	return typed
}

// nameOf is the key of whichever exists.
func nameOf(before, after api.Object) string {
	if after == nil {
		return api.KeyOf(before).String()
	}
	return api.KeyOf(after).String()
}
