package kinds

import (
	"context"
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

// Node ports are those that Kubernetes uses unless told otherwise.
const (
	firstNodePort = 30000
	lastNodePort  = 32767
)

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
	if !r.Addr().Is4() {
		return apierrors.NewInternalError(errors.New("the API server knows no IPv4 range for Services; start it with --service-cidr"))
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
