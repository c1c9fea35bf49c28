package apiserver

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/store/memory"
	"optimist/internal/api"
)

type listener struct {
	net.Listener
	at string
}

func (l listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(l.at)) }

func TestAdvertised(t *testing.T) {
	for _, row := range []struct{ name, flag, listen, want string }{
		{"the flag wins, with the port at which we listen", "10.0.0.9", "127.0.0.1:7000 10.0.0.5:6443", "10.0.0.9:7000"},
		{"the first address that others can reach", "", "127.0.0.1:7000 10.0.0.5:6443 10.0.0.6:6443", "10.0.0.5:6443"},
		{"loopback is nobody else's", "127.0.0.1", "127.0.0.1:7000", "--advertise-address"},
		{"a name is no address", "localhost", "127.0.0.1:7000", "--advertise-address"},
		{"nor is another family's", "fd00::1", "127.0.0.1:7000", "--advertise-address"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var all []net.Listener
			for _, at := range strings.Fields(row.listen) {
				all = append(all, listener{at: at})
			}
			got, err := advertised(row.flag, all)
			if err != nil && !strings.Contains(err.Error(), row.want) || err == nil && got.String() != row.want {
				t.Error(got, err)
			}
		})
	}
	if at, err := advertised("", []net.Listener{listener{at: "127.0.0.1:7000"}}); err != nil || at.IsValid() && (at.Addr().IsLoopback() || at.Port() != 7000) {
		t.Error(at, err)
	}
}

func TestTheClustersOwnServicesAreMended(t *testing.T) {
	s, err := New(Config{Store: memory.New(), Ranges: ranges, Advertise: netip.MustParseAddrPort("192.168.1.5:6443")})
	if err != nil {
		t.Fatal(err)
	}
	go s.registry.Run(t.Context())
	if err := s.registry.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	svc, key := s.Service(admin), api.Key{Namespace: "default", Name: "kubernetes"}
	check := func() api.Revision {
		t.Helper()
		if err := s.mendServices(t.Context()); err != nil {
			t.Fatal(err)
		}
		k, err := api.Services.Get(t.Context(), svc, key)
		if err != nil || k.Spec.ClusterIP != "10.96.0.1" || len(k.Spec.Ports) != 1 || k.Spec.Ports[0].Port != 443 || k.Spec.Ports[0].TargetPort.IntVal != 6443 {
			t.Fatalf("%+v %v", k, err)
		}
		dns, err := api.Services.Get(t.Context(), svc, api.Key{Namespace: "kube-system", Name: "kube-dns"})
		if err != nil || dns.Spec.ClusterIP != "10.96.0.10" || len(dns.Spec.Ports) != 2 {
			t.Fatalf("%+v %v", dns, err)
		}
		slice, err := api.EndpointSlices.Get(t.Context(), svc, key)
		if err != nil || slice.Endpoints[0].Addresses[0] != "192.168.1.5" || *slice.Ports[0].Port != 6443 {
			t.Fatalf("%+v %v", slice, err)
		}
		old, err := api.Endpoints.Get(t.Context(), svc, key)
		if err != nil || old.Subsets[0].Addresses[0].IP != "192.168.1.5" {
			t.Fatalf("%+v %v", old, err)
		}
		now, _ := svc.Now(t.Context())
		return now
	}
	first := check()
	if again := check(); again != first {
		t.Error("what is as it should be was written again")
	}
	k, _ := api.Services.Get(t.Context(), svc, key)
	k = k.DeepCopy()
	k.Spec.Ports = append(k.Spec.Ports, corev1.ServicePort{Name: "more", Port: 1})
	if _, err := api.Services.Update(t.Context(), svc, k); err != nil {
		t.Fatal(err)
	}
	check()
	for _, err := range []error{api.Services.Delete(t.Context(), svc, key, api.Options{}), api.EndpointSlices.Delete(t.Context(), svc, key, api.Options{}),
		api.Services.Delete(t.Context(), svc, api.Key{Namespace: "kube-system", Name: "kube-dns"}, api.Options{})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := api.Services.Create(t.Context(), svc, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "thief"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.10", Ports: []corev1.ServicePort{{Port: 1}}}}); err == nil || !strings.Contains(err.Error(), "already allocated") {
		t.Error("somebody else got the address of DNS:", err)
	}
	check()
}
