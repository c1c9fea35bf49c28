package real

import (
	"strings"
	"testing"
	"time"
)

// The doctor finds nothing on a healthy cluster; with a firewall on one node, it names that node and what does not pass.
func TestDoctor(t *testing.T) {
	c := up(t, "--nodes", "3")
	eventually(t, time.Minute, func() (bool, string) {
		out, err := c.Ctl("doctor", "--cluster")
		return err == nil && strings.Contains(out, "pods on 3 nodes reach each other, Services, DNS and the API server"), out
	})
	for _, sick := range []struct{ rule, want string }{
		{"ip daddr %s udp length 20-300 drop", "no UDP between pods on n1 and n2"},
		{"ip daddr %s meta length > 1400 drop", "packets of full size get lost between pods on n1 and n2"},
		{"ip daddr %s drop", "no TCP between pods on n1 and n2"},
	} {
		rule := strings.ReplaceAll(sick.rule, "%s", c.config(t).ClusterCIDR.String())
		if out, err := c.On(t.Context(), "n2", "nft", "add table ip firewall; add chain ip firewall forward { type filter hook forward priority -5; }; add rule ip firewall forward "+rule).CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
		out, err := c.Ctl("doctor", "--cluster")
		if err == nil || !strings.Contains(out, sick.want) || strings.Contains(out, "pods on n1 and n3") {
			t.Errorf("%s: want %q and nothing of n1 and n3: %v\n%s", rule, sick.want, err, out)
		}
		if out, err := c.On(t.Context(), "n2", "nft", "delete", "table", "ip", "firewall").CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
	}
	if out := c.must(t, "get", "namespaces", "--no-headers"); strings.Contains(out, "doctor") {
		t.Errorf("left behind:\n%s", out)
	}
}
