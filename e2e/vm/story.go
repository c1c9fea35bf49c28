//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

const nodesReady = `[ "$(ctl get nodes --no-headers | awk '$2 == "Ready"' | wc -l)" = %d ]`

// everyNodeAsks has a pod on each of the nodes fetch a page from the Service by its name, and each other pod's address directly.
const everyNodeAsks = `
[ "$(ctl get pods -l app=web --no-headers | grep -c '1/1 *Running')" = 3 ]
for pod in $(ctl get pods -l app=web --no-headers | awk '/1\/1 *Running/ {print $1}'); do
	ctl exec $pod -- /web ask -timeout 2s web.default.svc.cluster.local
	for address in $(ctl get pods -l app=web -o wide --no-headers | awk '/1\/1 *Running/ {print $6}'); do
		ctl exec $pod -- /web ask -timeout 2s $address:8080
	done
done`

// story is what happens to the machines. Each step's script must succeed.
func story(ctx context.Context, guests []*guest) error {
	n1, n2, n3 := guests[0], guests[1], guests[2]
	var join string
	type step struct {
		title string
		do    func() error
	}
	on := func(g *guest, script string) func() error {
		return func() error { _, err := g.run(ctx, "set -e\n"+script); return err }
	}
	soon := func(g *guest, limit time.Duration, script string) func() error {
		return func() error { return g.eventually(ctx, limit, "set -e\n"+script) }
	}
	for i, s := range []step{
		{"the demo on one machine; what `down` leaves is nothing", on(n1, "bash e2e/vm/demo.sh")},
		{"n1: ctl up --systemd", on(n1, "e2e/real/snapshot.sh >/opt/optimist/before; ctl up --name vm --systemd --listen "+n1.address()+" --wait 5m")},
		{"n1: a token", func() (err error) {
			join, err = n1.run(ctx, "ctl token create --print-join-command")
			join += " --systemd"
			return err
		}},
		{"n2, n3: ctl join --systemd", func() error {
			for _, g := range []*guest{n2, n3} {
				if _, err := g.run(ctx, "e2e/real/snapshot.sh >/opt/optimist/before; "+join); err != nil {
					return err
				}
			}
			return nil
		}},
		{"three nodes are Ready", soon(n1, 5*time.Minute, fmt.Sprintf(nodesReady, 3))},
		{"images on every node; a Deployment behind a Service", on(n1, "for i in bin/images/*.tar; do ctl image load $i; done; ctl apply -f e2e/vm/fleet.yaml; ctl rollout status deployment/web --timeout 5m")},
		{"a pod on every node reaches the Service by its name, and each pod", soon(n1, 2*time.Minute, everyNodeAsks)},
		{"n1: ctl doctor finds nothing wrong", on(n1, "ctl doctor")},
		{"n2 reboots", func() error {
			_, _ = n2.run(ctx, "systemctl reboot &")
			return n2.ready()
		}},
		{"n2 comes back by itself, and so do its pods", soon(n1, 5*time.Minute, fmt.Sprintf(nodesReady, 3)+everyNodeAsks)},
		{"n2 changes its address", on(n2, "echo 10.77.0.22/24 >/etc/vmtest-address; ip address add 10.77.0.22/24 dev eth0; ip address del "+n2.address()+"/24 dev eth0; ip address replace 10.77.0.22/24 dev eth0")},
		{"the others find it there", soon(n1, 5*time.Minute, "ctl get node n2 -o yaml | grep -q 'address: 10.77.0.22'\n"+fmt.Sprintf(nodesReady, 3)+everyNodeAsks)},
		{"n3 is powered off; its pods are replaced", func() error {
			n3.off()
			return n1.eventually(ctx, 8*time.Minute, "set -e\n"+fmt.Sprintf(nodesReady, 2)+everyNodeAsks)
		}},
		{"n3 comes back; nothing is doubled", func() error {
			if err := n3.on(ctx); err != nil {
				return err
			}
			if err := n3.ready(); err != nil {
				return err
			}
			return n1.eventually(ctx, 8*time.Minute, "set -e\n"+fmt.Sprintf(nodesReady, 3)+`
[ "$(ctl get pods -l app=web --no-headers | wc -l)" = 3 ]`+everyNodeAsks)
		}},
		{"ctl reset on n2 and n3, ctl down on n1: nothing is left", func() error {
			for _, g := range []*guest{n2, n3, n1} {
				end := "ctl reset --yes"
				if g == n1 {
					end = "ctl down --yes --name vm"
				}
				if _, err := g.run(ctx, end+" && e2e/real/snapshot.sh | sed s/10.77.0.22/10.77.0.2/ >/opt/optimist/after && diff /opt/optimist/before /opt/optimist/after"); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		say("%2d. %s", i+1, s.title)
	}
	return nil
}
