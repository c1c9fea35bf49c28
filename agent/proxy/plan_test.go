package proxy

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"pgregory.net/rapid"
)

// What the real tests show by packets is not repeated here.
func TestPlan(t *testing.T) {
	for _, row := range []struct{ sentence, spec, slice, want string }{
		{"ports go by name and protocol, and may have different backends", `{spec: {clusterIP: 10.96.0.1, ports: [{name: a, port: 1, protocol: TCP}, {name: b, port: 2, protocol: SCTP}, {name: c, port: 3, protocol: TCP}]}}`,
			`{addressType: IPv4, ports: [{name: a, port: 10}, {name: b, port: 20, protocol: SCTP}, {name: c, port: 30, protocol: UDP}], endpoints: [{addresses: [10.0.0.1]}]}`, `
10.96.0.1/132/2 any: pick_1_any_ip_pods_0 10.0.0.1:20
10.96.0.1/6/1 any: pick_1_any_ip_pods_0 10.0.0.1:10
10.96.0.1/6/3 any: refuse`},
		{"of two mentions the readiest counts, and unset conditions are ready", `{spec: {clusterIP: 10.96.0.1, ports: [{port: 1, protocol: TCP}]}}`,
			`{addressType: IPv4, ports: [{port: 10}], endpoints: [{addresses: [10.0.0.2], conditions: {ready: false}}, {addresses: [10.0.0.2]}, {addresses: [10.0.0.1, 10.0.0.9]}, {addresses: [bad]}, {}]}`, `
10.96.0.1/6/1 any: pick_2_any_ip_pods_0 10.0.0.1:10 10.0.0.2:10`},
		{"addresses of version 6 are not programmed", `{spec: {clusterIP: 10.96.0.1, externalIPs: ["::1"], ports: [{port: 1, protocol: TCP}]}}`, `{addressType: IPv6, ports: [{port: 10}], endpoints: [{addresses: ["::2"]}]}`, `
10.96.0.1/6/1 any: refuse`},
		{"a Service that another proxy serves is not ours", `{metadata: {labels: {service.kubernetes.io/service-proxy-name: x}}, spec: {clusterIP: 10.96.0.1, ports: [{port: 1, protocol: TCP}]}}`, `{}`, ``},
		{"an ExternalName has no address", `{spec: {type: ExternalName, externalName: x.y}}`, `{}`, ``},
		{"each way has its chain", `{spec: {clusterIP: 10.96.0.1, externalIPs: [1.2.3.4], externalTrafficPolicy: Local, sessionAffinityConfig: {clientIP: {timeoutSeconds: 9}}, ports: [{port: 1, protocol: TCP, nodePort: 30000}]}}`,
			`{addressType: IPv4, ports: [{port: 10}], endpoints: [{addresses: [10.0.0.1], nodeName: n1}, {addresses: [10.0.0.2], nodeName: n2}]}`, `
0.0.0.0/6/30000 any: pick_1_any_nodeport_none_9 10.0.0.1:10
0.0.0.0/6/30000 inside: pick_2_inside_nodeport_pods_9 10.0.0.1:10 10.0.0.2:10
1.2.3.4/6/1 any: pick_1_any_ip_none_9 10.0.0.1:10
1.2.3.4/6/1 inside: pick_2_inside_ip_pods_9 10.0.0.1:10 10.0.0.2:10
10.96.0.1/6/1 any: pick_2_any_ip_pods_9 10.0.0.1:10 10.0.0.2:10`},
	} {
		s := decode("{}", row.spec)
		m := plan(s, []*discoveryv1.EndpointSlice{slice(row.slice)}, "n1", netip.MustParseAddr("10.96.0.10"))
		if got := text(m); got != strings.TrimSpace(row.want) {
			t.Errorf("%s:\n%s\nwant%s", row.sentence, got, row.want)
		}
	}
}

func text(m Model) string {
	var lines []string
	for e, v := range m {
		scope, ok := strings.CutSuffix(e.Set, "_services")
		if !ok {
			continue
		}
		address := func(k string) string { a, _ := netip.AddrFromSlice([]byte(k[:4])); return a.String() }
		port := func(k string) uint16 { return binary.BigEndian.Uint16([]byte(k)) }
		line := fmt.Sprintf("%s/%d/%d %s: %s", address(e.Key), e.Key[4], port(e.Key[8:]), scope, v)
		for i := 0; ; i++ {
			to, ok := m[Element{scope + "_backends", e.Key + string(binary.NativeEndian.AppendUint32(nil, uint32(i)))}]
			if !ok {
				break
			}
			line += fmt.Sprintf(" %s:%d", address(to), port(to[4:]))
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestPicksAreTheirNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pick{rapid.SampledFrom([]string{"any", "inside"}).Draw(t, "scope"), rapid.SampledFrom([]string{"ip", "nodeport"}).Draw(t, "at"),
			rapid.SampledFrom([]string{everybody, outsiders, nobody}).Draw(t, "hidden"), rapid.IntRange(1, 5000).Draw(t, "count"), rapid.Int32Range(0, 86400).Draw(t, "seconds"), ""}
		if again, ok := parsePick(p.verdict()); !ok || again != p {
			t.Fatalf("%v → %s → %v", p, p.verdict(), again)
		}
	})
}

// Whatever happens in whatever order, told at once or bit by bit, also while writing fails: the table holds what one would that is programmed from nothing, and
// each change fits what is there.
func TestDeltasAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := &fake{}
		c := newCluster(table, "n1")
		names, specs := []string{"s0", "s1", "s2"}, []string{"", "{spec: {externalIPs: [203.0.113.7]}}", "{spec: {externalIPs: [203.0.113.7], externalTrafficPolicy: Local}}", "{spec: {clusterIP: None}}",
			"{spec: {type: NodePort, clusterIP: 10.96.0.6, internalTrafficPolicy: Local, ports: [{name: t, port: 80, protocol: TCP, nodePort: 30001}]}}", "{spec: {sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}}}"}
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			name := rapid.SampledFrom(names).Draw(t, "name")
			switch rapid.IntRange(0, 6).Draw(t, "event") {
			case 0, 1:
				c.put(service(name, rapid.SampledFrom(specs).Draw(t, "spec")))
			case 2, 3:
				c.put(backends(name, rapid.SampledFrom([]string{"", "a", "b far", "a:terminating", "a b c far", "c:unready far"}).Draw(t, "backends")))
			case 4:
				c.delete(service(name, ""))
			case 5:
				c.delete(backends(name, ""))
			case 6:
				moved := backends(name, "b c")
				moved.Labels = map[string]string{discoveryv1.LabelServiceName: rapid.SampledFrom(names).Draw(t, "other")}
				c.put(moved)
			}
			table.broken = rapid.IntRange(0, 9).Draw(t, "breaks") == 0
			if rapid.Bool().Draw(t, "step") && c.proxy.Step() != nil && c.proxy.built {
				t.Fatal("a failure was forgotten")
			}
		}
		table.broken = false
		if err := c.proxy.Step(); err != nil {
			t.Fatal(err)
		}
		anew := &fake{}
		c.restart(anew, "n1")
		if err := c.proxy.Step(); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(table.m, anew.m) {
			t.Fatalf("%s\nfrom nothing:\n%s", text(table.m), text(anew.m))
		}
	})
}

// Run programs what happens, tries again what failed, and repairs what others did.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &fake{broken: true}
		c := newCluster(table, "n1")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.proxy.Run(ctx) }()
		expect := func(sentence, want string) {
			t.Helper()
			if synctest.Wait(); text(table.m) != want {
				t.Errorf("%s: %q, want %q", sentence, text(table.m), want)
			}
		}
		const refused, served = "10.96.0.5/17/80 any: refuse\n10.96.0.5/6/80 any: refuse", "10.96.0.5/17/80 any: pick_1_any_ip_pods_0 10.244.1.2:8080\n10.96.0.5/6/80 any: pick_1_any_ip_pods_0 10.244.1.2:8080"
		c.put(service("web", ""))
		time.Sleep(retry)
		expect("the first write failed", refused)
		c.put(backends("web", "a"))
		expect("at once", served)
		table.harm(Model{}, false)
		time.Sleep(resync)
		expect("somebody emptied the table", served)
		table.harm(table.m, true)
		c.put(backends("web", ""))
		time.Sleep(retry)
		expect("a write failed", refused)
		stop()
		if err := <-done; err != nil || text(table.m) != refused {
			t.Errorf("%v, and left %q", err, text(table.m))
		}
	})
}
