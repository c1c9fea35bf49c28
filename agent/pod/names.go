package pod

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"optimist/agent/dns"
)

const (
	maxServers, maxSearches, maxSearchLine = 3, 32, 2048 // the last in bytes: what any libc can take
	maxHost, maxFQ                         = 63, 64      // bytes of a label, of the kernel's host name
)

// names are a pod's host name, and the domain that its subdomain puts it in; "" if it has none.
func names(pod *corev1.Pod) (host, domain string) {
	host = cmp.Or(pod.Spec.Hostname, pod.Name)
	if len(host) > maxHost {
		host = strings.TrimRight(host[:maxHost], "-.")
	}
	if pod.Spec.Subdomain != "" {
		domain = pod.Spec.Subdomain + "." + pod.Namespace + ".svc." + dns.Domain
	}
	return host, domain
}

// kernelName is what hostname(1) says in the pod.
func (h *Host) kernelName(pod *corev1.Pod) (string, error) {
	host, domain := names(pod)
	switch full := host + "." + domain; {
	case pod.Spec.HostNetwork:
		return h.Node.Name, nil
	case domain == "" || !is(pod.Spec.SetHostnameAsFQDN):
		return host, nil
	case len(full) <= maxFQ:
		return full, nil
	default:
		return "", fmt.Errorf("Failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (%d characters is the max, %d characters requested)",
			full, maxFQ, len(full))
	}
}

// hosts is the pod's /etc/hosts; that of a host-network pod begins with the node's.
func hosts(pod *corev1.Pod, address netip.Addr) string {
	text := "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n" +
		"fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
	if node, err := os.ReadFile("/etc/hosts"); err == nil && pod.Spec.HostNetwork {
		text = "# Kubernetes-managed hosts file (host network).\n" + string(node)
	}
	if host, domain := names(pod); address.IsValid() {
		if domain != "" {
			host = host + "." + domain + "\t" + host
		}
		text += address.String() + "\t" + host + "\n"
	}
	if len(pod.Spec.HostAliases) > 0 {
		text += "\n# Entries added by HostAliases.\n"
	}
	for _, a := range pod.Spec.HostAliases {
		text += a.IP + "\t" + strings.Join(a.Hostnames, "\t") + "\n"
	}
	return text
}

// resolvConf is the pod's /etc/resolv.conf, by its dnsPolicy and its dnsConfig, and what did not fit into it.
func resolvConf(pod *corev1.Pod, server netip.Addr, node dns.Resolver) (text string, omitted []string) {
	r := node
	switch policy := pod.Spec.DNSPolicy; {
	case policy == corev1.DNSNone:
		r = dns.Resolver{}
	case policy != corev1.DNSDefault && (policy == corev1.DNSClusterFirstWithHostNet || !pod.Spec.HostNetwork):
		svc := "svc." + dns.Domain
		r = dns.Resolver{Servers: []string{server.String()}, Search: append([]string{pod.Namespace + "." + svc, svc, dns.Domain}, node.Search...), Options: []string{"ndots:5"}}
	}
	own := cmp.Or(pod.Spec.DNSConfig, &corev1.PodDNSConfig{})
	r.Servers, r.Search = unique(r.Servers, own.Nameservers), unique(r.Search, own.Searches)
	for _, o := range own.Options { // replaces one of that name
		r.Options = slices.DeleteFunc(r.Options, func(s string) bool { name, _, _ := strings.Cut(s, ":"); return name == o.Name })
		if o.Value != nil {
			o.Name += ":" + *o.Value
		}
		r.Options = append(r.Options, o.Name)
	}
	if len(r.Servers) > maxServers {
		r.Servers = r.Servers[:maxServers]
		omitted = append(omitted, "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: "+strings.Join(r.Servers, " "))
	}
	n := len(r.Search)
	for n > maxSearches || len(strings.Join(r.Search[:n], " ")) > maxSearchLine {
		n--
	}
	if n < len(r.Search) {
		r.Search = r.Search[:n]
		omitted = append(omitted, "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: "+strings.Join(r.Search, " "))
	}
	return r.String(), omitted
}

// unique are all that stand in the two lists, each once, in their order.
func unique(lists ...[]string) (all []string) {
	for _, s := range slices.Concat(lists...) {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}
