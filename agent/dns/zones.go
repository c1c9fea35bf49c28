package dns

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"optimist/internal/api"
	"optimist/internal/informer"
)

const (
	Domain  = "cluster.local" // of every cluster
	schema  = "1.1.0"         // the version of the specification
	ttl     = 5               // seconds, CoreDNS' default
	primary = "kube-dns.kube-system.svc." + Domain + "."
)

// Zones are the names that the cluster answers for: those below Domain, and the reverse names of Ranges.
type Zones struct {
	Services informer.Reader[*corev1.Service]
	Slices   informer.Reader[*discoveryv1.EndpointSlice]
	Ranges   []netip.Prefix
}

// The indexes of Services and Slices.
const (
	byAddress = "dns address" // a Service's; a named endpoint's
	byService = "service"     // a slice's; under this name agent/proxy shares it
)

// Watch makes the Zones of a set, before the set runs.
func Watch(set *informer.Set) (z Zones) {
	z.Services = informer.Watch(set, api.Services, informer.Options[*corev1.Service]{Index: map[string]func(*corev1.Service) []string{
		byAddress: func(s *corev1.Service) []string { return []string{s.Spec.ClusterIP} },
	}})
	z.Slices = informer.Watch(set, api.EndpointSlices, informer.Options[*discoveryv1.EndpointSlice]{Index: map[string]func(*discoveryv1.EndpointSlice) []string{
		byService: func(s *discoveryv1.EndpointSlice) []string { return []string{api.ServiceOf(s).String()} },
		byAddress: func(s *discoveryv1.EndpointSlice) (all []string) {
			for _, e := range s.Endpoints {
				if e.Hostname != nil {
					all = append(all, e.Addresses...)
				}
			}
			return all
		},
	}})
	return z
}

// answer returns the records of a question and its rcode; ours is false where somebody outside has to be asked. A CNAME answers every type.
func (z Zones) answer(q dns.Question) (records []dns.RR, rcode int, ours bool) {
	var all []dns.RR // of the name, whatever their type; nil: it does not exist
	labels := dns.SplitDomainName(strings.ToLower(q.Name))
	switch slices.Reverse(labels); {
	case len(labels) >= 2 && labels[0] == "local" && labels[1] == "cluster":
		all, ours = z.forward(q.Name, labels[2:]), true
	case len(labels) >= 6 && labels[0] == "arpa" && labels[1] == "in-addr":
		all, ours = z.reverse(q.Name, labels[2:])
	}
	if all == nil && ours {
		rcode = dns.RcodeNameError
	}
	for _, r := range all {
		if t := r.Header().Rrtype; t == q.Qtype || t == dns.TypeCNAME || q.Qtype == dns.TypeANY {
			records = append(records, r)
		}
	}
	if len(records) > 1 { // slices may overlap while endpoints move
		records = dns.Dedup(records, nil)
	}
	return records, rcode, ours
}

var empty = []dns.RR{} // a name that exists, if only because others are below it

// forward returns the records of a name below Domain, whose labels stand in reverse.
func (z Zones) forward(name string, labels []string) []dns.RR {
	switch depth := len(labels); {
	case depth == 0:
		return []dns.RR{soa(name), &dns.NS{Hdr: header(name, dns.TypeNS), Ns: primary}}
	case depth == 1 && labels[0] == "dns-version": // 2.2
		return []dns.RR{&dns.TXT{Hdr: header(name, dns.TypeTXT), Txt: []string{schema}}}
	case labels[0] == "pod" && depth == 3: // 2.6
		if ip := ipv4(strings.ReplaceAll(labels[2], "-", ".")); ip != nil {
			return []dns.RR{&dns.A{Hdr: header(name, dns.TypeA), A: ip}}
		}
	case labels[0] == "pod" && depth < 3, labels[0] == "svc" && (depth == 1 || depth == 2 && z.Services.Holds(labels[1])):
		return empty
	case labels[0] == "svc" && depth >= 3 && depth <= 5:
		if s, ok := z.Services.Get(api.Key{Namespace: labels[1], Name: labels[2]}); ok {
			return z.service(name, s, labels[3:])
		}
	}
	return nil
}

// service returns the records of a Service's name, or of one below it: rest is nothing, a hostname, or protocol and port.
func (z Zones) service(name string, s *corev1.Service, rest []string) (all []dns.RR) {
	external, below := s.Spec.Type == corev1.ServiceTypeExternalName, len(rest) == 1 && !strings.HasPrefix(rest[0], "_")
	switch {
	case external && (len(rest) > 0 || net.ParseIP(s.Spec.ExternalName) != nil):
		return nil
	case external: // 2.5
		return []dns.RR{&dns.CNAME{Hdr: header(name, dns.TypeCNAME), Target: dns.Fqdn(s.Spec.ExternalName)}}
	case len(rest) == 1 && !below:
		return empty // below a protocol are ports
	}
	targets := []*discoveryv1.EndpointSlice{itself(s)}
	if s.Spec.ClusterIP == corev1.ClusterIPNone || below {
		targets = z.Slices.Indexed(byService, api.KeyOf(s).String())
	}
	for _, slice := range targets {
		for _, e := range slice.Endpoints {
			for _, a := range e.Addresses {
				host, ip := or(e.Hostname, strings.ReplaceAll(a, ".", "-")), ipv4(a)
				switch {
				case !ready(s, e) || ip == nil || below && rest[0] != host:
				case len(rest) < 2: // 2.3.1, 2.4.1
					all = append(all, &dns.A{Hdr: header(name, dns.TypeA), A: ip})
				default:
					all = append(all, ports(name, rest, strings.TrimPrefix(host+"."+path(s), "."), slice.Ports)...)
				}
			}
		}
	}
	return all
}

// ports are the SRV records of one target: of its ports, those with the protocol and the name that rest asks for (2.3.2, 2.4.2).
func ports(name string, rest []string, target string, ports []discoveryv1.EndpointPort) (all []dns.RR) {
	for _, p := range ports {
		if named := or(p.Name, ""); named != "" && rest[1] == "_"+named && rest[0] == "_"+strings.ToLower(string(or(p.Protocol, corev1.ProtocolTCP))) {
			all = append(all, &dns.SRV{Hdr: header(name, dns.TypeSRV), Weight: 100, Port: uint16(or(p.Port, 0)), Target: target})
		}
	}
	return all
}

// itself is a Service with an address as if it were its own endpoint.
func itself(s *corev1.Service) *discoveryv1.EndpointSlice {
	own := &discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{s.Spec.ClusterIP}, Hostname: new(string)}}}
	for _, p := range s.Spec.Ports {
		own.Ports = append(own.Ports, discoveryv1.EndpointPort{Name: &p.Name, Protocol: &p.Protocol, Port: &p.Port})
	}
	return own
}

// reverse returns the names of the address that labels begin with: of its Services (2.3.3), and of ready endpoints with a hostname (2.4.3).
func (z Zones) reverse(name string, labels []string) (all []dns.RR, ours bool) {
	a, err := netip.ParseAddr(strings.Join(labels[:4], "."))
	inside := slices.ContainsFunc(z.Ranges, func(r netip.Prefix) bool { return r.Contains(a) })
	if err != nil || len(labels) > 4 {
		return nil, inside
	}
	add := func(to string) { all = append(all, &dns.PTR{Hdr: header(name, dns.TypePTR), Ptr: to}) }
	for _, s := range z.Services.Indexed(byAddress, a.String()) {
		add(path(s))
	}
	for _, slice := range z.Slices.Indexed(byAddress, a.String()) {
		s, ok := z.Services.Get(api.ServiceOf(slice))
		for _, e := range slice.Endpoints {
			if ok && e.Hostname != nil && slices.Contains(e.Addresses, a.String()) && ready(s, e) {
				add(*e.Hostname + "." + path(s))
			}
		}
	}
	return all, inside || len(all) > 0
}

func header(name string, t uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: t, Class: dns.ClassINET, Ttl: ttl}
}

// soa says who answers for a name, and how long its absence may be remembered.
func soa(name string) dns.RR {
	owner := Domain + "."
	if strings.HasSuffix(strings.ToLower(name), ".arpa.") {
		owner = "in-addr.arpa."
	}
	return &dns.SOA{Hdr: header(owner, dns.TypeSOA), Ns: primary, Mbox: "hostmaster." + Domain + ".", Serial: 1, Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: ttl}
}

func path(s *corev1.Service) string { return s.Name + "." + s.Namespace + ".svc." + Domain + "." }

func ready(s *corev1.Service, e discoveryv1.Endpoint) bool {
	return or(e.Conditions.Ready, true) || s.Spec.PublishNotReadyAddresses
}

func ipv4(s string) net.IP { return net.ParseIP(s).To4() }

func or[T any](p *T, otherwise T) T { return *cmp.Or(p, &otherwise) }
