package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	discoveryv1 "k8s.io/api/discovery/v1"

	"optimist/internal/api"
	"optimist/internal/api/apitest"
	"optimist/internal/informer"
)

var ranges = []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16"), netip.MustParsePrefix("10.244.0.0/16")}

// cluster is a view of these objects, as the informers would have it.
func cluster(t testing.TB, objects ...string) Zones {
	t.Helper()
	set := informer.NewSet(nil)
	z := Watch(set)
	z.Ranges = ranges
	events := map[*api.Kind][]api.Event{}
	for i, text := range objects {
		o := apitest.Object(t, text)
		o.SetResourceVersion(fmt.Sprint(i + 1))
		kind := api.ServiceKind
		if _, ok := o.(*discoveryv1.EndpointSlice); ok {
			kind = api.EndpointSliceKind
		}
		events[kind] = append(events[kind], api.Event{Type: api.Added, Object: o, Revision: api.Revision(i + 1)})
	}
	for _, k := range set.Kinds() {
		set.Open(k)
		set.Deliver(k, append(events[k], api.Event{Type: api.Bookmark, Revision: api.Revision(len(objects) + 1), InitialEnd: true}))
	}
	return z
}

func service(name, spec string) string {
	ns, name, _ := strings.Cut(name, "/")
	return fmt.Sprintf("{apiVersion: v1, kind: Service, metadata: {namespace: %s, name: %s}, spec: {%s}}", ns, name, spec)
}

func slice(name, ports, endpoints string) string {
	ns, svc, _ := strings.Cut(name, "/")
	svc, _, _ = strings.Cut(svc, " ")
	return fmt.Sprintf(`{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, ports: [%s], endpoints: [%s],
  metadata: {namespace: %s, name: "%s", labels: {kubernetes.io/service-name: %s}}}`, ports, endpoints, ns, strings.ReplaceAll(name, " ", "-"), svc)
}

var sample = []string{
	service("default/kubernetes", "clusterIP: 10.96.0.1, ports: [{name: https, port: 443, protocol: TCP}]"),
	service("kube-system/kube-dns", "clusterIP: 10.96.0.10, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]"),
	service("shop/web", "clusterIP: 10.96.0.20, ports: [{port: 80}]"),
	slice("shop/web", "{port: 8080}", "{addresses: [10.244.1.9], hostname: w0}"),
	service("shop/db", "clusterIP: None, ports: [{name: sql, port: 5432, protocol: TCP}, {name: gossip, port: 7946, protocol: UDP}]"),
	slice("shop/db a", "{name: sql, port: 15432, protocol: TCP}, {name: gossip, port: 7946, protocol: UDP}, {port: 1}",
		"{addresses: [10.244.1.2], hostname: db-0, conditions: {ready: true}}, {addresses: [10.244.1.3]}, {addresses: [10.244.1.4], hostname: db-2, conditions: {ready: false}}"),
	slice("shop/db b", "{name: sql, port: 15432, protocol: TCP}", "{addresses: [10.244.1.2], hostname: db-0, conditions: {ready: true}}"),
	service("shop/early", "clusterIP: None, publishNotReadyAddresses: true"),
	slice("shop/early", "", "{addresses: [10.244.1.5], conditions: {ready: false}}, {addresses: [192.168.0.5], hostname: far, conditions: {ready: false}}"),
	service("shop/none", "clusterIP: None, ports: [{name: http, port: 80}]"),
	service("shop/docs", "type: ExternalName, externalName: www.example.com"),
	service("shop/number", "type: ExternalName, externalName: 192.0.2.1"),
	slice("shop/orphan", "", "{addresses: [10.244.1.8], hostname: x}"),
}

// Each row: a question, the answers without TTL and class, and the rcode where it is not NOERROR; "outside" is none of ours.
func TestSpecification(t *testing.T) {
	z := cluster(t, sample...)
	for _, row := range []struct{ section, name, kind, want string }{
		{"2.2 the version", "dns-version.cluster.local.", "TXT", `TXT "1.1.0"`},
		{"2.3.1 a Service's address", "kubernetes.default.svc.cluster.local.", "A", "A 10.96.0.1"},
		{"2.3.1 there is no IPv6: an empty answer, for the name exists", "kubernetes.default.svc.cluster.local.", "AAAA", ""},
		{"2.1 in any case", "KuberneTES.Default.svc.CLUSTER.local.", "A", "A 10.96.0.1"},
		{"2.3.1 another namespace", "web.default.svc.cluster.local.", "A", "NXDOMAIN"},
		{"2.3.2 a named port", "_https._tcp.kubernetes.default.svc.cluster.local.", "SRV", "SRV 0 100 443 kubernetes.default.svc.cluster.local."},
		{"2.3.2 of UDP", "_dns._udp.kube-dns.kube-system.svc.cluster.local.", "SRV", "SRV 0 100 53 kube-dns.kube-system.svc.cluster.local."},
		{"2.3.2 only with its protocol", "_dns._tcp.kube-dns.kube-system.svc.cluster.local.", "SRV", "NXDOMAIN"},
		{"2.3.2 an unnamed port has none", "_._tcp.web.shop.svc.cluster.local.", "SRV", "NXDOMAIN"},
		{"the port's name has no address", "_https._tcp.kubernetes.default.svc.cluster.local.", "A", ""},
		{"between port and Service", "_tcp.kubernetes.default.svc.cluster.local.", "SRV", ""},
		{"2.3.3 back to the name", "1.0.96.10.in-addr.arpa.", "PTR", "PTR kubernetes.default.svc.cluster.local."},
		{"2.3.3 an address that nobody has", "77.0.96.10.in-addr.arpa.", "PTR", "NXDOMAIN"},
		{"2.4.1 ready endpoints, each once", "db.shop.svc.cluster.local.", "A", "A 10.244.1.2\nA 10.244.1.3"},
		{"2.4.1 without ready ones", "none.shop.svc.cluster.local.", "A", "NXDOMAIN"},
		{"2.4.1 a hostname", "db-0.db.shop.svc.cluster.local.", "A", "A 10.244.1.2"},
		{"2.4.1 a hostname that we assigned", "10-244-1-3.db.shop.svc.cluster.local.", "A", "A 10.244.1.3"},
		{"2.4.1 not ready", "db-2.db.shop.svc.cluster.local.", "A", "NXDOMAIN"},
		{"2.1 not ready, but published", "early.shop.svc.cluster.local.", "A", "A 10.244.1.5\nA 192.168.0.5"},
		{"a hostname below a Service with an address", "w0.web.shop.svc.cluster.local.", "A", "A 10.244.1.9"},
		{"2.4.2 a record for each endpoint, with the endpoints' port", "_sql._tcp.db.shop.svc.cluster.local.", "SRV",
			"SRV 0 100 15432 10-244-1-3.db.shop.svc.cluster.local.\nSRV 0 100 15432 db-0.db.shop.svc.cluster.local."},
		{"2.4.2 of UDP", "_gossip._udp.db.shop.svc.cluster.local.", "SRV",
			"SRV 0 100 7946 10-244-1-3.db.shop.svc.cluster.local.\nSRV 0 100 7946 db-0.db.shop.svc.cluster.local."},
		{"2.4.3 an endpoint with a hostname", "2.1.244.10.in-addr.arpa.", "PTR", "PTR db-0.db.shop.svc.cluster.local."},
		{"2.4.3 without", "3.1.244.10.in-addr.arpa.", "PTR", "NXDOMAIN"},
		{"2.4.3 not ready", "4.1.244.10.in-addr.arpa.", "PTR", "NXDOMAIN"},
		{"2.4.3 outside our ranges", "5.0.168.192.in-addr.arpa.", "PTR", "PTR far.early.shop.svc.cluster.local."},
		{"2.5 an external name", "docs.shop.svc.cluster.local.", "CNAME", "CNAME www.example.com."},
		{"2.5 is the answer to all types", "docs.shop.svc.cluster.local.", "AAAA", "CNAME www.example.com."},
		{"2.5 an address is no name", "number.shop.svc.cluster.local.", "A", "NXDOMAIN"},
		{"2.5 nothing is below", "x.docs.shop.svc.cluster.local.", "A", "NXDOMAIN"},
		{"2.6 a pod", "10-244-1-2.shop.pod.cluster.local.", "A", "A 10.244.1.2"},
		{"2.6 no pod", "web-0.shop.pod.cluster.local.", "A", "NXDOMAIN"},
		{"a slice without its Service", "x.orphan.shop.svc.cluster.local.", "A", "NXDOMAIN"},
		{"and back", "8.1.244.10.in-addr.arpa.", "PTR", "NXDOMAIN"},
		{"the zone", "cluster.local.", "A", ""},
		{"its server", "cluster.local.", "NS", "NS kube-dns.kube-system.svc.cluster.local."},
		{"all Services", "svc.cluster.local.", "A", ""},
		{"a namespace with Services", "shop.svc.cluster.local.", "A", ""},
		{"a namespace without", "empty.svc.cluster.local.", "A", "NXDOMAIN"},
		{"pods", "shop.pod.cluster.local.", "A", ""},
		{"what a search list makes", "www.example.com.cluster.local.", "A", "NXDOMAIN"},
		{"too deep", "a._b._c.web.shop.svc.cluster.local.", "A", "NXDOMAIN"},
		{"others' names", "www.example.com.", "A", "outside"},
		{"a namesake", "mycluster.local.", "A", "outside"},
		{"the name above", "local.", "A", "outside"},
		{"the root", ".", "NS", "outside"},
		{"others' addresses", "1.2.0.192.in-addr.arpa.", "PTR", "outside"},
		{"what is below an address of ours", "x.1.0.96.10.in-addr.arpa.", "PTR", "NXDOMAIN"},
		{"no address", "a.b.c.d.in-addr.arpa.", "PTR", "outside"},
	} {
		t.Run(row.section, func(t *testing.T) {
			records, rcode, ours := z.answer(dns.Question{Name: row.name, Qtype: dns.StringToType[row.kind], Qclass: dns.ClassINET})
			var got []string
			for _, r := range records {
				h := r.Header()
				if h.Name != row.name || h.Ttl != ttl {
					t.Errorf("the record %v", r)
				}
				got = append(got, dns.TypeToString[h.Rrtype]+" "+strings.TrimPrefix(r.String(), h.String()))
			}
			slices.Sort(got)
			switch {
			case !ours:
				got = append(got, "outside")
			case rcode != dns.RcodeSuccess:
				got = append(got, dns.RcodeToString[rcode])
			}
			if all := strings.Join(got, "\n"); all != row.want {
				t.Errorf("%s %s: %q, want %q", row.name, row.kind, all, row.want)
			}
		})
	}
}

// A name of 10,000 Services costs as little as one of ten: nothing is scanned.
func BenchmarkAnswer(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var objects []string
			for i := range n {
				objects = append(objects, service(fmt.Sprintf("default/s%d", i), fmt.Sprintf("clusterIP: 10.96.%d.%d, ports: [{port: 80}]", i/250, i%250)))
			}
			z := cluster(b, objects...)
			q := dns.Question{Name: "s7.default.svc.cluster.local.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
			for b.Loop() {
				if records, _, _ := z.answer(q); len(records) != 1 {
					b.Fatal(records)
				}
			}
		})
	}
}
