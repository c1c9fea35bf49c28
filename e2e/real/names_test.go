package real

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const named = `
{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {clusterIP: None, selector: {app: db}, ports: [{name: sql, port: 5432}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: away}, spec: {type: ExternalName, externalName: www.example.com}}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, labels: {app: db}}
spec:
  terminationGracePeriodSeconds: 1
  hostname: zero
  subdomain: db
  hostAliases: [{ip: 192.0.2.7, hostnames: [seven]}]
  dnsConfig: {searches: [example.test], options: [{name: ndots, value: "3"}]}
  containers: [{name: main, image: "optimist/busybox:1", command: [sh, -c, 'trap exit TERM; sleep 3600 & wait']}]
---
apiVersion: v1
kind: Pod
metadata: {name: db-1, labels: {app: db}}
spec: {terminationGracePeriodSeconds: 1, setHostnameAsFQDN: true, hostname: one, subdomain: db, containers: [{name: main, image: "optimist/busybox:1", command: [sh, -c, 'trap exit TERM; sleep 3600 & wait']}]}
`

// Pods find Services, and one another, by name; also while the API server is away. A node without an upstream says so at once.
func TestNames(t *testing.T) {
	c := up(t)
	if out, err := c.CtlContext(t.Context(), named, "apply", "-f", "-"); err != nil || strings.Contains(strings.ToLower(out), "warning: spec.h") {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, time.Minute, func() (bool, string) { return c.ready(t, "app=db", 2) })
	pods := c.pods(t, "app=db")
	zero, one := pods[0].Status.PodIP, pods[1].Status.PodIP
	services := c.services(t)
	sees := func(pod, script string, words ...string) {
		t.Helper()
		out, err := c.Ctl("exec", pod, "--", "sh", "-c", script)
		for _, w := range words {
			if !strings.Contains(out, w) {
				t.Errorf("%s in %s: %q is not in\n%s%v", script, pod, w, out, err)
			}
		}
	}
	sees("db-0", "cat /etc/resolv.conf", "nameserver "+services+"10\n", "search default.svc.cluster.local svc.cluster.local cluster.local", "example.test\n", "options ndots:3\n")
	sees("db-0", "cat /etc/hosts; hostname", zero+"\tzero.db.default.svc.cluster.local\tzero\n", "192.0.2.7\tseven\n", "\nzero\n")
	sees("db-1", "hostname", "one.db.default.svc.cluster.local\n")
	eventually(t, time.Minute, func() (bool, string) {
		out, err := c.Ctl("exec", "db-0", "--", "nslookup", "-type=a", "db.default.svc.cluster.local")
		return err == nil && strings.Contains(out, zero) && strings.Contains(out, one), out
	})
	sees("db-0", "ping -c 1 -W 5 one.db", "from "+one)
	sees("db-0", "nslookup -type=srv _sql._tcp.db.default.svc.cluster.local", "5432 zero.db.default.svc.cluster.local", "5432 one.db.default.svc.cluster.local")
	sees("db-0", "nslookup "+one, "one.db.default.svc.cluster.local")
	sees("db-0", "nslookup -type=a kubernetes.default.svc.cluster.local", services+"1")

	pids, err := c.PIDs()
	if err != nil || syscall.Kill(pids["apiserver"], syscall.SIGSTOP) != nil {
		t.Fatal(pids, err)
	}
	defer syscall.Kill(pids["apiserver"], syscall.SIGCONT)
	for name, want := range map[string]string{"one.db.default.svc.cluster.local.": one, "nobody.default.svc.cluster.local.": "NXDOMAIN",
		"away.default.svc.cluster.local.": "SERVFAIL", "www.example.com.": "SERVFAIL"} {
		conn, err := c.Dial(context.Background(), services+"10:53")
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := new(dns.Client).ExchangeWithConn(new(dns.Msg).SetQuestion(name, dns.TypeA), &dns.Conn{Conn: conn})
		conn.Close()
		if err != nil || !strings.Contains(m.String(), want) {
			t.Errorf("without the API server, %s: %v %v, want %s", name, m, err, want)
		}
	}
}
