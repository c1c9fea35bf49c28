package pod

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"optimist/agent/dns"
)

func TestResolvConf(t *testing.T) {
	var many, long []string
	for i := range 40 {
		many, long = append(many, fmt.Sprintf("s%d", i)), append(long, strings.Repeat("a", 60)+fmt.Sprint(i)+".example.com")
	}
	cluster := "nameserver 10.96.0.10\nsearch default.svc.cluster.local svc.cluster.local cluster.local corp\noptions ndots:5\n"
	node := "nameserver 192.0.2.53\nsearch corp\noptions rotate\n"
	for _, row := range []struct{ name, spec, want, omitted string }{
		{"cluster first", "dnsPolicy: ClusterFirst", cluster, ""},
		{"nothing said", "{}", cluster, ""},
		{"cluster first, but on the host's network", "{dnsPolicy: ClusterFirst, hostNetwork: true}", node, ""},
		{"on the host's network, too", "{dnsPolicy: ClusterFirstWithHostNet, hostNetwork: true}", cluster, ""},
		{"the node's", "dnsPolicy: Default", node, ""},
		{"none but the own", "{dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.1], searches: [a, b], options: [{name: ndots, value: '2'}, {name: edns0}]}}",
			"nameserver 192.0.2.1\nsearch a b\noptions ndots:2 edns0\n", ""},
		{"merged: each once, options replaced", "{dnsConfig: {nameservers: [10.96.0.10, 192.0.2.1], searches: [corp, a], options: [{name: ndots, value: '2'}, {name: use-vc}]}}",
			"nameserver 10.96.0.10\nnameserver 192.0.2.1\nsearch default.svc.cluster.local svc.cluster.local cluster.local corp a\noptions ndots:2 use-vc\n", ""},
		{"three servers", "{dnsPolicy: Default, dnsConfig: {nameservers: [192.0.2.1, 192.0.2.2, 192.0.2.3]}}",
			"nameserver 192.0.2.53\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch corp\noptions rotate\n",
			"Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 192.0.2.53 192.0.2.1 192.0.2.2"},
		{"32 searches", "{dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.1], searches: [" + strings.Join(many, ",") + "]}}",
			"nameserver 192.0.2.1\nsearch " + strings.Join(many[:32], " ") + "\n",
			"Search Line limits were exceeded, some search paths have been omitted, the applied search line is: " + strings.Join(many[:32], " ")},
		{"2,048 bytes of searches", "{dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.1], searches: [" + strings.Join(long[:31], ",") + "]}}",
			"", "Search Line limits"},
	} {
		pod := parsePod(t, "spec: "+braced(row.spec))
		got, omitted := resolvConf(pod, netip.MustParseAddr("10.96.0.10"), dns.Resolver{Servers: []string{"192.0.2.53"}, Search: []string{"corp"}, Options: []string{"rotate"}})
		if row.want != "" && got != row.want {
			t.Errorf("%s:\n%s\nwant\n%s", row.name, got, row.want)
		}
		if all := strings.Join(omitted, "\n"); all != row.omitted && (row.want != "" || !strings.HasPrefix(all, row.omitted)) {
			t.Errorf("%s: omitted %q, want %q", row.name, all, row.omitted)
		}
		for line := range strings.Lines(got) {
			if len(line) > len("search \n")+maxSearchLine {
				t.Errorf("%s: a line of %d bytes", row.name, len(line))
			}
		}
	}
}

func braced(spec string) string {
	if strings.HasPrefix(spec, "{") {
		return spec
	}
	return "{" + spec + "}"
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 60)
	for _, row := range []struct{ name, spec, hostname, hosts string }{
		{"the pod's name", "{}", "p", "10.244.1.2\tp\n"},
		{"its hostname", "{hostname: h}", "h", "10.244.1.2\th\n"},
		{"in a subdomain", "{hostname: h, subdomain: db}", "h", "10.244.1.2\th.db.default.svc.cluster.local\th\n"},
		{"in full", "{hostname: h, subdomain: db, setHostnameAsFQDN: true}", "h.db.default.svc.cluster.local", "10.244.1.2\th.db.default.svc.cluster.local\th\n"},
		{"in full, without a domain", "{setHostnameAsFQDN: true}", "p", "10.244.1.2\tp\n"},
		{"longer than the kernel takes", "{hostname: " + long + ", subdomain: db, setHostnameAsFQDN: true}",
			"Failed to construct FQDN from pod hostname and cluster domain, FQDN " + long + ".db.default.svc.cluster.local is too long (64 characters is the max, 89 characters requested)", ""},
		{"aliases", "{hostAliases: [{ip: 192.0.2.1, hostnames: [a, b]}, {ip: 192.0.2.2, hostnames: [c]}]}", "p",
			"10.244.1.2\tp\n\n# Entries added by HostAliases.\n192.0.2.1\ta\tb\n192.0.2.2\tc\n"},
		{"the host's", "{hostNetwork: true, hostname: h}", "n1", ""},
	} {
		pod := parsePod(t, "spec: "+row.spec)
		h := Host{Node: Node{Name: "n1"}}
		got, err := h.kernelName(pod)
		if err != nil {
			got = err.Error()
		}
		if got != row.hostname {
			t.Errorf("%s: hostname %q, want %q", row.name, got, row.hostname)
		}
		if text := hosts(pod, netip.MustParseAddr("10.244.1.2")); !strings.HasSuffix(text, row.hosts) || !strings.HasPrefix(text, "# Kubernetes-managed hosts file") {
			t.Errorf("%s: hosts\n%s\nwant at the end\n%s", row.name, text, row.hosts)
		}
	}
	pod := parsePod(t, "spec: {hostNetwork: true, hostAliases: [{ip: 192.0.2.1, hostnames: [a]}]}")
	own, err := os.ReadFile("/etc/hosts")
	if want := "# Kubernetes-managed hosts file (host network).\n" + string(own) + "\n# Entries added by HostAliases.\n192.0.2.1\ta\n"; err == nil && hosts(pod, netip.Addr{}) != want {
		t.Errorf("on the host's network: %q, want %q", hosts(pod, netip.Addr{}), want)
	}
	pod = parsePod(t, "spec: {}")
	pod.Name = strings.Repeat("b", 62) + ".-c"
	if host, _ := names(pod); host != strings.Repeat("b", 62) {
		t.Errorf("a long name becomes %q", host)
	}
}
