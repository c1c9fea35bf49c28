package kinds

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

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
	now := of[corev1.Service](after)
	l := newLedger(c.Store, before, after, serviceKeys(of[corev1.Service](before))...)
	if after == nil {
		return l.txn(), nil
	}
	if needsClusterIP(now) && !isHeadless(&now.Spec) {
		if err := claimClusterIP(ctx, l, c.ServiceCIDR, now); err != nil {
			return store.Txn{}, err
		}
	}
	err := claimNodePorts(ctx, l, now)
	return l.txn(), err
}

func serviceKeys(s *corev1.Service) (keys []string) {
	if s.Spec.ClusterIP != "" && !isHeadless(&s.Spec) {
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

// reserved are the places in the range of the addresses of Services that everybody must find: the API and DNS.
var reserved = map[string]int{"default/kubernetes": 1, "kube-system/kube-dns": 10}

// claimClusterIP: of the range neither the first address, which names the network, nor the last, which means all, can be given; nor, to others, what
// is reserved.
func claimClusterIP(ctx context.Context, l *ledger, r netip.Prefix, s *corev1.Service) error {
	if !r.Addr().Is4() {
		return apierrors.NewInternalError(errors.New("the API server knows no IPv4 range for Services; start it with --service-cidr"))
	}
	others := map[netip.Addr]bool{}
	for whose, i := range reserved {
		if a := addressAt(r, i); whose != l.holder {
			others[a] = true
		} else if s.Spec.ClusterIP == "" && r.Contains(a) {
			s.Spec.ClusterIP = a.String()
		}
	}
	if s.Spec.ClusterIP == "" {
		dns, size := reserved["kube-system/kube-dns"], subnets(r, 32)-3
		if r.Contains(addressAt(r, dns)) {
			size--
		}
		ip := func(i int) string {
			if i += 2; i >= dns {
				i++
			}
			return addressAt(r, i).String()
		}
		full := apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP: range is full: all addresses of %s are in use; delete a Service, or start the cluster with a larger --service-cidr", r))
		at, err := l.takeAny(ctx, pool{prefix: clusterIPs, size: size, key: func(i int) string { return clusterIPs + ip(i) }}, full)
		if err == nil {
			s.Spec.ClusterIP, s.Spec.ClusterIPs = ip(at), []string{ip(at)}
		}
		return err
	}
	s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	refuse := func(why string) error {
		return api.ServiceKind.Invalid(s.Name, field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIPs"), s.Spec.ClusterIPs,
			fmt.Sprintf("failed to allocate IP %s: %s", s.Spec.ClusterIP, why))})
	}
	ip, err := netip.ParseAddr(s.Spec.ClusterIP)
	key, taken := clusterIPs+s.Spec.ClusterIP, refuse("provided IP is already allocated")
	switch last := addressAt(r, 1<<(32-r.Bits())-1); {
	case l.held[key]: // an address stays even when the range is changed
	case err != nil || !r.Contains(ip) || ip == r.Masked().Addr() || ip == last:
		return refuse(fmt.Sprintf("the provided IP (%s) is not in the valid range. The range of valid IPs is %s", s.Spec.ClusterIP, r.Masked()))
	case others[ip]:
		return taken
	}
	return l.take(ctx, key, taken)
}

// claimNodePorts first takes the ports that were asked for, so that none of them is chosen for another. The same port of another protocol
// shares the number. Load balancers that must not send to nodes without pods ask each node at a port of its own.
func claimNodePorts(ctx context.Context, l *ledger, s *corev1.Service) (err error) {
	ports, numbers := field.NewPath("spec", "ports"), map[int32]int32{}
	for i, p := range s.Spec.Ports {
		if err := takeNodePort(ctx, l, s, p.NodePort, ports.Index(i).Child("nodePort")); err != nil {
			return err
		}
		if p.NodePort != 0 {
			numbers[p.Port] = p.NodePort
		}
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		if p.NodePort != 0 || !needsNodePorts(s) {
			continue
		}
		if shared, ok := numbers[p.Port]; ok && !usesNodePort(s, shared, p.Protocol) {
			p.NodePort = shared
			continue
		}
		if p.NodePort, err = chooseNodePort(ctx, l); err != nil {
			return err
		}
		numbers[p.Port] = p.NodePort
	}
	if health := &s.Spec.HealthCheckNodePort; needsHealthPort(s) && *health == 0 {
		*health, err = chooseNodePort(ctx, l)
	} else if needsHealthPort(s) {
		err = takeNodePort(ctx, l, s, *health, field.NewPath("spec", "healthCheckNodePort"))
	}
	return err
}

func takeNodePort(ctx context.Context, l *ledger, s *corev1.Service, number int32, p *field.Path) error {
	if number == 0 {
		return nil
	}
	refuse := func(why string) error {
		return api.ServiceKind.Invalid(s.Name, field.ErrorList{field.Invalid(p, number, why)})
	}
	if number < firstNodePort || number > lastNodePort {
		return refuse(fmt.Sprintf("provided port is not in the valid range. The range of valid ports is %d-%d", firstNodePort, lastNodePort))
	}
	return l.take(ctx, nodePortKey(number), refuse("provided port is already allocated"))
}

func usesNodePort(s *corev1.Service, number int32, protocol corev1.Protocol) bool {
	return slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.NodePort == number && p.Protocol == protocol })
}

func chooseNodePort(ctx context.Context, l *ledger) (int32, error) {
	full := apierrors.NewInternalError(fmt.Errorf("failed to allocate a nodePort: range is full: all ports %d-%d are in use; delete a Service of type NodePort", firstNodePort, lastNodePort))
	at, err := l.takeAny(ctx, pool{prefix: nodePorts, size: lastNodePort - firstNodePort + 1, key: func(i int) string { return nodePortKey(int32(firstNodePort + i)) }}, full)
	if err != nil {
		return 0, err
	}
	return int32(firstNodePort + at), nil
}
