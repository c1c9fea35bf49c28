package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"optimist/internal/api"
)

// mendInterval is how soon what every cluster has is there again after somebody deleted or changed it: as in Kubernetes.
const mendInterval = 10 * time.Second

// keepServices makes, and mends until ctx ends, the Services by which pods find the API server and DNS. Their addresses are the ledger's business.
func (s *Server) keepServices(ctx context.Context) error {
	tick := time.NewTicker(mendInterval)
	defer tick.Stop()
	for {
		if err := s.mendServices(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("the Services that every cluster has could not be written, will retry", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Server) mendServices(ctx context.Context) error {
	if !s.Ranges.ServiceCIDR.IsValid() {
		return nil
	}
	service, faults, all := s.Service(own), []error(nil), ownServices(s.Advertise)
	if s.Cluster != "" {
		all = append(all, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespacePublic, Name: "cluster-info"}, Data: map[string]string{
			"name": s.Cluster, "server": s.JoinAt, "clusterCIDR": s.Ranges.ClusterCIDR.String(), "serviceCIDR": s.Ranges.ServiceCIDR.String()}})
	}
	for _, o := range all {
		data, _ := json.Marshal(o) // of typed objects this never fails
		r := api.Request{Target: api.Target{Kind: api.Builtin.Of(o), Key: api.KeyOf(o)}, Verb: api.VerbPatch, Patch: &api.Patch{Type: types.MergePatchType, Data: data}}
		_, err := service.Write(ctx, r) // one that changes nothing costs nothing
		if apierrors.IsNotFound(err) {
			r.Verb, r.Patch, r.Body = api.VerbCreate, nil, o
			_, err = service.Write(ctx, r)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s %s: %w", r.Kind, r.Key, err))
		}
	}
	return errors.Join(faults...)
}

// ownServices are the Services and, when the API server's address is known, where it is.
func ownServices(at netip.AddrPort) []api.Object {
	named := func(ns, name string, labels map[string]string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: ns, Name: name, Labels: labels}
	}
	number := int32(at.Port())
	if !at.IsValid() {
		number = 6443
	}
	all := []api.Object{
		&corev1.Service{ObjectMeta: named(metav1.NamespaceDefault, "kubernetes", map[string]string{"component": "apiserver", "provider": "kubernetes"}),
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Ports: []corev1.ServicePort{{Name: "https", Port: 443, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(number)}}}},
		&corev1.Service{ObjectMeta: named(metav1.NamespaceSystem, "kube-dns", map[string]string{"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true"}),
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Ports: []corev1.ServicePort{
				{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP, TargetPort: intstr.FromInt32(53)}, {Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(53)}}}},
	}
	if !at.IsValid() {
		return all
	}
	return append(all,
		&corev1.Endpoints{ObjectMeta: named(metav1.NamespaceDefault, "kubernetes", map[string]string{discoveryv1.LabelSkipMirror: "true"}), Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: at.Addr().String()}}, Ports: []corev1.EndpointPort{{Name: "https", Port: number, Protocol: corev1.ProtocolTCP}}}}},
		&discoveryv1.EndpointSlice{ObjectMeta: named(metav1.NamespaceDefault, "kubernetes", map[string]string{discoveryv1.LabelServiceName: "kubernetes"}), AddressType: discoveryv1.AddressTypeIPv4,
			Ports:     []discoveryv1.EndpointPort{{Name: new("https"), Port: &number, Protocol: new(corev1.ProtocolTCP)}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{at.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}}})
}

// advertised is where pods and nodes reach this server: what the flag says, else the first address that we listen at and others may reach, else
// the one with which this machine would send to the world. Not valid when there is none.
func advertised(flag string, listeners []net.Listener) (netip.AddrPort, error) {
	var port uint16
	for _, l := range listeners {
		at, err := netip.ParseAddrPort(l.Addr().String())
		if a := at.Addr().Unmap(); err == nil && flag == "" && a.Is4() && a.IsGlobalUnicast() {
			return netip.AddrPortFrom(a, at.Port()), nil
		} else if port == 0 {
			port = at.Port()
		}
	}
	if flag == "" {
		c, err := net.Dial("udp4", "192.0.2.1:9") // TEST-NET-1, nobody's; to connect a UDP socket sends nothing
		if err != nil {
			return netip.AddrPort{}, nil
		}
		defer c.Close()
		flag, _, _ = net.SplitHostPort(c.LocalAddr().String())
	}
	a, err := netip.ParseAddr(flag)
	if err != nil || !a.Is4() || !a.IsGlobalUnicast() {
		return netip.AddrPort{}, fmt.Errorf("--advertise-address %q is no IPv4 address that pods could reach; name one of this machine's other than loopback", flag)
	}
	return netip.AddrPortFrom(a, port), nil
}
