//go:build linux

package proxy

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Who reaches whom, and is seen as whom. Pods are seen as themselves; the node, and outsiders whose answers must come back through the node,
// by the address that everybody knows a way to. ADDRESS stands for the frontend.
const (
	clusterIP = "10.96.0.5:80"
	onNode    = "192.0.2.1:30080"
	external  = "203.0.113.7:80"
	balancer  = "203.0.113.8:80"
)

func TestWhoServesWhom(t *testing.T) {
	l := newLab(t)
	const everything = `{type: LoadBalancer, externalIPs: [203.0.113.7], ports: [{name: t, port: 80, protocol: TCP, nodePort: 30080}, {name: u, port: 80, protocol: UDP, nodePort: 30080}]`
	const ingress = `, status: {loadBalancer: {ingress: [{ip: 203.0.113.8}, {ip: 203.0.113.9, ipMode: Proxy}]}}}`
	for _, row := range []struct {
		sentence, spec, backends, from, to, want string
	}{
		{"pods see pods", ``, "a b far", "c", clusterIP, "a 10.244.1.4|b 10.244.1.4|far 10.244.1.4"},
		{"and see of the node an address that all know", ``, "a b far", "node", clusterIP, "a 192.0.2.1|b 192.0.2.1|far 192.0.2.1"},
		{"what strays in goes back through us", ``, "a b far", "world", clusterIP, "a 192.0.2.1|b 192.0.2.1|far 192.0.2.1"},
		{"a pod that asks itself sees the node", ``, "a b", "a", clusterIP, "a 192.0.2.1|b 10.244.1.2"},
		{"unknown ports are refused", ``, "a", "c", "10.96.0.5:81", "refused"},
		{"unknown addresses too", ``, "a", "c", "10.96.0.6:80", "refused"},
		{"to the node as well", ``, "a", "node", "10.96.0.6:80", "refused"},
		{"and Services without endpoints", ``, "", "c", clusterIP, "refused"},
		{"and those none of which is ready", ``, "a:unready", "c", clusterIP, "refused"},
		{"the ready ones serve", ``, "a b:unready c:terminating", "c", clusterIP, "a 10.244.1.4"},
		{"but who terminates serves if nobody else does", ``, "a:unready b:terminating", "c", clusterIP, "b 10.244.1.4"},
		{"a headless Service has no address", `{clusterIP: None}`, "a", "c", clusterIP, "refused"},
		{"DNS is answered on the node, not by endpoints", `{clusterIP: 10.96.0.10}`, "a", "c", "10.96.0.10:80", "refused"},

		{"internal Local is this node's", `{internalTrafficPolicy: Local}`, "a far", "c", clusterIP, "a 10.244.1.4"},
		{"also to the node", `{internalTrafficPolicy: Local}`, "a far", "node", clusterIP, "a 192.0.2.1"},
		{"or nobody's", `{internalTrafficPolicy: Local}`, "far", "c", clusterIP, "silence"},
		{"refused if there is none anywhere", `{internalTrafficPolicy: Local}`, "", "c", clusterIP, "refused"},
		{"internal Local binds nobody outside", everything + `, internalTrafficPolicy: Local}`, "far", "world", onNode, "far 192.0.2.1"},

		{"a node port, from outside", everything + `}`, "a far", "world", onNode, "a 192.0.2.1|far 192.0.2.1"},
		{"from a pod", everything + `}`, "a far", "c", onNode, "a 192.0.2.1|far 192.0.2.1"},
		{"from the node", everything + `}`, "a far", "node", onNode, "a 192.0.2.1|far 192.0.2.1"},
		{"but not on loopback", everything + `}`, "a far", "node", "127.0.0.1:30080", "refused"},
		{"on any of the node's addresses", everything + `}`, "a", "c", "198.51.100.1:30080", "a 192.0.2.1"},
		{"without endpoints it is refused", everything + `}`, "", "world", onNode, "refused"},
		{"to pods too", everything + `}`, "", "c", onNode, "refused"},
		{"to the node too", everything + `}`, "", "node", onNode, "refused"},
		{"an external address, from outside", everything + `}`, "a far", "world", external, "a 192.0.2.1|far 192.0.2.1"},
		{"from a pod", everything + `}`, "a far", "c", external, "a 192.0.2.1|far 192.0.2.1"},
		{"from the node", everything + `}`, "a far", "node", external, "a 192.0.2.1|far 192.0.2.1"},
		{"without endpoints it is refused", everything + `}`, "", "world", external, "refused"},
		{"a load balancer's address", everything + `}` + ingress, "a", "c", balancer, "a 192.0.2.1"},

		{"external Local is this node's, and sees the client", everything + `, externalTrafficPolicy: Local}`, "a far", "world", onNode, "a 192.0.2.2"},
		{"at external addresses", everything + `, externalTrafficPolicy: Local}`, "a far", "world", external, "a 192.0.2.2"},
		{"of balancers", everything + `, externalTrafficPolicy: Local}` + ingress, "a far", "world", balancer, "a 192.0.2.2"},
		{"or nobody's", everything + `, externalTrafficPolicy: Local}`, "far", "world", onNode, "silence"},
		{"or nobody's", everything + `, externalTrafficPolicy: Local}`, "far", "world", external, "silence"},
		{"refused if there is none anywhere", everything + `, externalTrafficPolicy: Local}`, "", "world", onNode, "refused"},
		{"pods reach all", everything + `, externalTrafficPolicy: Local}`, "a far", "c", external, "a 10.244.1.4|far 10.244.1.4"},
		{"by node port, too", everything + `, externalTrafficPolicy: Local}`, "far", "c", onNode, "far 10.244.1.4"},
		{"the node reaches all", everything + `, externalTrafficPolicy: Local}`, "a far", "node", onNode, "a 192.0.2.1|far 192.0.2.1"},
		{"and who terminates here serves outsiders", everything + `, externalTrafficPolicy: Local}`, "a:terminating far", "world", onNode, "a 192.0.2.2"},
	} {
		spec := row.spec
		if strings.HasPrefix(spec, "{") {
			spec = "{spec: " + strings.TrimSuffix(spec, ingress)
			if spec += "}"; strings.HasSuffix(row.spec, ingress) {
				spec = strings.TrimSuffix(spec, "}") + ingress
			}
		}
		l.step(service("web", spec), backends("web", row.backends))
		for _, protocol := range []string{"tcp", "udp"} {
			failed := l.Failed()
			l.expect(row.from, protocol+":"+row.to, row.want)
			if !failed && l.Failed() {
				l.Errorf("… %s: %s with %s", row.sentence, row.spec, row.backends)
			}
		}
	}
	l.delete(service("web", ""))
	check(t, l.proxy.Step())
	l.expect("c", "tcp:"+clusterIP, "refused")
}

// Pods are masqueraded on the way out of the cluster only.
func TestTheWorldSeesTheNodesAddress(t *testing.T) {
	l := newLab(t)
	l.step()
	for _, protocol := range []string{"tcp:", "udp:"} {
		l.expect("a", protocol+"192.0.2.2:8080", "world 192.0.2.1")
		l.expect("a", protocol+"10.244.2.2:8080", "far 10.244.1.2")
		l.expect("a", protocol+"10.244.1.3:8080", "b 10.244.1.2")
	}
}

// Chance is equal: of 3,000 connections each of three backends gets a third, give or take a tenth.
func TestBalance(t *testing.T) {
	l := newLab(t)
	l.step(service("web", ""), backends("web", "a b far"))
	heard := map[string]int{}
	l.in("c", func() {
		for range 3000 {
			c, err := net.DialTimeout("tcp4", clusterIP, 5*time.Second)
			if err != nil {
				l.Fatal(err)
			}
			who, err := exchange(c, 5*time.Second)
			if err != nil {
				l.Fatal(err)
			}
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
			heard[who]++
		}
	})
	for who, n := range heard {
		if n < 900 || n > 1100 {
			t.Errorf("%s served %d of 3000 connections", who, n)
		}
	}
	t.Log(heard)
}

// A client stays with its backend while that lives and the client comes back in time.
func TestAffinity(t *testing.T) {
	l := newLab(t)
	const sticky = `{spec: {sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: %d}}}}`
	l.step(service("web", fmt.Sprintf(sticky, 100)), backends("web", "a b far"))
	first := map[string]string{}
	for _, to := range []string{"tcp:" + clusterIP, "udp:" + clusterIP} {
		first[to] = l.ask("c", to)
		l.expect("c", to, first[to]) // eight times
	}
	l.step(backends("web", "a b far c")) // others may come
	l.expect("c", "tcp:"+clusterIP, first["tcp:"+clusterIP])
	l.restart(NewNFT("proxytest", "n1", ranges), "n1")
	l.step() // a new agent does not part them either
	l.expect("c", "tcp:"+clusterIP, first["tcp:"+clusterIP])
	rest := strings.Replace("a b far c", strings.Fields(first["tcp:"+clusterIP])[0], "", 1)
	l.step(backends("web", rest))
	second := l.ask("c", "tcp:"+clusterIP)
	if second == first["tcp:"+clusterIP] || strings.Contains(second, "silence") {
		t.Errorf("%s is gone, but %s serves", first, second)
	}
	l.expect("c", "tcp:"+clusterIP, second)

	l.step(service("web", fmt.Sprintf(sticky, 1)), backends("web", "a b far"))
	heard := map[string]bool{l.ask("b", "tcp:"+clusterIP): true}
	l.restart(NewNFT("proxytest", "n1", ranges), "n1")
	l.step() // which must not make it last longer
	for deadline := time.Now().Add(time.Minute); len(heard) < 2 && time.Now().Before(deadline); {
		heard[l.ask("b", "tcp:"+clusterIP)] = true
		time.Sleep(1100 * time.Millisecond) // what is tested is the kernel's timeout
	}
	if len(heard) < 2 {
		t.Errorf("never parted: %v", heard)
	}
}

// Ports of the node lead to pods: from outside, from the node, from other pods, and from the pod itself; not on loopback, not where DNS is answered, and not
// when the pod is gone.
func TestHostPorts(t *testing.T) {
	l := newLab(t)
	const tcp = "{hostPort: 8081, containerPort: 8080, protocol: TCP}"
	a := exposed("a", "10.244.1.2", tcp+", {hostPort: 8082, hostIP: 192.0.2.1, containerPort: 8080, protocol: TCP}, {hostPort: 8083, hostIP: 127.0.0.1, containerPort: 8080, protocol: TCP}")
	l.step(a, service("web", ""), backends("web", "b"))
	everybody := func(where string) {
		for from, want := range map[string]string{"world": "a 192.0.2.2", "c": "a 10.244.1.4", "node": "a 192.0.2.1", "a": "a 192.0.2.1"} {
			l.expect(from, "tcp:192.0.2.1:8081", want)
			l.expect(from, "tcp:192.0.2.1:8082", want)
		}
		for _, to := range []string{"127.0.0.1:8081", "127.0.0.1:8083", "192.0.2.1:8083", "198.51.100.1:8082", "10.96.0.10:8081"} {
			l.expect("node", "tcp:"+to, "refused")
		}
		if t.Failed() {
			t.Fatal(where)
		}
	}
	everybody("at first")
	l.restart(NewNFT("proxytest", "n1", ranges), "n1")
	l.step()
	everybody("after a restart")
	ended := a.DeepCopy()
	ended.Status.Phase = "Succeeded"
	l.step(ended, exposed("b", "10.244.1.3", tcp))
	l.expect("world", "tcp:192.0.2.1:8081", "b 192.0.2.2")
	l.expect("world", "tcp:192.0.2.1:8082", "refused")
	l.delete(exposed("b", "", ""))
	check(t, l.proxy.Step())
	l.expect("world", "tcp:192.0.2.1:8081", "refused")
	l.expect("c", "tcp:"+clusterIP, "b 10.244.1.4")
}

// A client that goes on sending from the same UDP port reaches the pod that has the host port now.
func TestUDPHostPortsChangeHands(t *testing.T) {
	l := newLab(t)
	l.step()
	var c net.Conn
	l.in("world", func() {
		var err error
		c, err = net.Dial("udp4", "192.0.2.1:5353")
		check(l, err)
	})
	defer c.Close()
	if got, err := exchange(c, 300*time.Millisecond); err == nil { // the kernel remembers: to the node itself
		l.Errorf("nobody serves, but %s answers", got)
	}
	for place, ip := range map[string]string{"a": "10.244.1.2", "b": "10.244.1.3"} {
		pod := exposed(place, ip, "{hostPort: 5353, containerPort: 8080, protocol: UDP}")
		l.step(pod)
		l.hears(c, place+" 192.0.2.2")
		l.delete(pod)
		check(t, l.proxy.Step())
	}
}

// A UDP client that goes on sending from one port would for ever be sent to where its first packet went.
func TestUDPFollowsItsEndpoints(t *testing.T) {
	l := newLab(t)
	l.step(service("web", `{spec: {type: NodePort, ports: [{name: u, port: 80, protocol: UDP, nodePort: 30080}]}}`), backends("web", ""))
	for _, row := range []struct{ from, to, first, second string }{
		{"c", clusterIP, "a 10.244.1.4", "b 10.244.1.4"},
		{"world", onNode, "a 192.0.2.1", "b 192.0.2.1"},
		{"node", clusterIP, "a 192.0.2.1", "b 192.0.2.1"},
	} {
		var c net.Conn
		l.in(row.from, func() {
			var err error
			c, err = net.Dial("udp4", row.to)
			check(l, err)
		})
		if got, err := exchange(c, 300*time.Millisecond); err == nil {
			l.Errorf("nobody serves, but %s answers", got)
		}
		l.step(backends("web", "a")) // the first endpoint
		l.hears(c, row.first)
		l.step(backends("web", "b")) // another
		l.hears(c, row.second)
		l.step(backends("web", ""))
		if got, err := exchange(c, 300*time.Millisecond); err == nil {
			l.Errorf("nobody serves any more, but %s answers", got)
		}
		c.Close()
	}
}

func (l *lab) hears(c net.Conn, want string) {
	l.Helper()
	got, err := exchange(c, 5*time.Second)
	for try := 0; err != nil && try < 5; try++ { // an ICMP error of the time before may still wait to be read
		got, err = exchange(c, 5*time.Second)
	}
	if err != nil || got != want {
		l.Errorf("%s hears %q (%v), want %s", c.LocalAddr(), got, err, want)
	}
}

// Whatever others do to the table is found and repaired, and nothing else is touched.
func TestRepair(t *testing.T) {
	l := newLab(t)
	l.step(service("web", ""), backends("web", "a"), service("none", "{spec: {clusterIP: 10.96.0.6}}"), service("sticky", "{spec: {clusterIP: 10.96.0.7, sessionAffinity: ClientIP}}"), backends("sticky", "b"))
	table := l.nft.table
	chain := func(name string) *nftables.Chain { return &nftables.Chain{Table: table, Name: name} }
	for sentence, harm := range map[string]func(*nftables.Conn){
		"the table is deleted": func(c *nftables.Conn) { c.DelTable(table) },
		"all rules are gone":   func(c *nftables.Conn) { c.FlushTable(table) },
		"a chain is emptied":   func(c *nftables.Conn) { c.FlushChain(chain("pick_1_any_ip_pods_0")) },
		"a rule is put in": func(c *nftables.Conn) {
			c.InsertRule(&nftables.Rule{Table: table, Chain: chain("prerouting"), Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}})
		},
		"a chain is put in": func(c *nftables.Conn) {
			drop := &nftables.Chain{Name: "other", Table: table, Type: "filter", Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter}
			c.AddChain(drop)
			c.AddRule(&nftables.Rule{Table: table, Chain: drop, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}})
		},
		"a map is emptied": func(c *nftables.Conn) { c.FlushSet(&nftables.Set{Table: table, Name: "any_services"}) },
		"a backend is put in": func(c *nftables.Conn) {
			check(t, l.nft.elements(Model{{"any_backends", frontend(everyAddress, "TCP", 1) + portKey(0)}: key(everyAddress) + portKey(1)}, c.SetAddElements))
		},
		"an unrelated table": func(c *nftables.Conn) { c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "other"}) },
	} {
		conn := open()
		harm(conn)
		check(t, conn.Flush())
		l.proxy.check()
		if l.proxy.built != (sentence == "an unrelated table") {
			t.Errorf("%s: built=%v", sentence, l.proxy.built)
		}
		check(t, l.proxy.Step())
		there, err := l.nft.read()
		check(t, err)
		if d := diff(l.proxy.book.programmed, there); len(d.Add)+len(d.Delete) > 0 {
			t.Errorf("%s: still to do: %v", sentence, d)
		}
		if ok, err := l.nft.Intact(l.proxy.book.programmed); !ok || err != nil {
			t.Errorf("%s: not intact: %v", sentence, err)
		}
		l.expect("c", "tcp:"+clusterIP, "a 10.244.1.4")
		l.expect("world", "tcp:"+clusterIP, "a 192.0.2.1")
		l.expect("c", "tcp:10.96.0.7:80", "b 10.244.1.4")
		l.expect("c", "tcp:10.96.0.6:80", "refused")
	}
	conn := open()
	conn.DelTable(table)
	conn.AddTable(table)
	check(t, conn.AddSet(&nftables.Set{Table: table, Name: "any_services", KeyType: nftables.TypeMark}, nil)) // of our name, but of another type
	check(t, conn.Flush())
	l.put(backends("web", "b"))
	if l.proxy.Step() == nil { // before anybody has looked
		t.Error("changed what is not there")
	}
	check(t, l.proxy.Step())
	l.expect("c", "tcp:"+clusterIP, "b 10.244.1.4")
}

// A new agent takes the table over: what has changed meanwhile is put right, and no connection fails while it does so.
func TestRestart(t *testing.T) {
	l := newLab(t)
	l.step(service("web", ""), backends("web", "a"), service("gone", "{spec: {clusterIP: 10.96.0.6}}"), backends("gone", "a"))
	l.delete(service("gone", ""))
	stop, failed := make(chan struct{}), make(chan string)
	go func() {
		bad := ""
		l.in("c", func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					bad += map[bool]string{true: "nothing was asked"}[n < 10]
					return
				default:
				}
				c, err := net.DialTimeout("tcp4", clusterIP, 5*time.Second)
				if err != nil {
					bad = err.Error()
					continue
				}
				_ = c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		})
		failed <- bad
	}()
	for range 8 {
		l.restart(NewNFT("proxytest", "n1", ranges), "n1")
		l.step(backends("web", "a b"))
		l.step(backends("web", "b"))
		l.step(backends("web", "a far"))
	}
	close(stop)
	if bad := <-failed; bad != "" {
		t.Error(bad)
	}
	l.expect("c", "tcp:10.96.0.6:80", "refused")
}

func TestRemoveLeavesNothing(t *testing.T) {
	l := newLab(t)
	l.step(service("web", "{spec: {externalIPs: [203.0.113.7]}}"), backends("web", "a"))
	check(t, l.nft.Remove())
	check(t, l.nft.Remove())
	tables, err := open().ListTables()
	check(t, err)
	if len(tables) != 0 {
		t.Errorf("tables left: %v", tables)
	}
	check(t, l.nft.Write(Delta{Add: l.proxy.book.programmed}, true))
	l.expect("c", "tcp:"+clusterIP, "a 10.244.1.4")
}
