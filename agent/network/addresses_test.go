package network

import (
	"net/netip"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

func TestAddresses(t *testing.T) {
	var a addresses
	a.use(netip.MustParsePrefix("10.0.0.0/29")) // .2 to .6
	var none netip.Addr
	for _, step := range []struct {
		sentence string
		pod      types.UID
		want     netip.Addr
		release  bool
		got      string // "" = an error
	}{
		{"the first free one", "a", none, false, "10.0.0.2"},
		{"the same one again", "a", none, false, "10.0.0.2"},
		{"what it had before the agent was restarted", "b", netip.MustParseAddr("10.0.0.4"), false, "10.0.0.4"},
		{"but not if another has it", "c", netip.MustParseAddr("10.0.0.4"), false, ""},
		{"the next free one", "c", none, false, "10.0.0.3"},
		{"past one that is taken", "d", none, false, "10.0.0.5"},
		{"a freed one", "a", none, true, ""},
		{"is not given out at once", "e", none, false, "10.0.0.6"},
		{"but when the others are taken", "f", none, false, "10.0.0.2"},
		{"until there is none", "g", none, false, ""},
	} {
		if step.release {
			a.release(step.pod)
			continue
		}
		got, err := a.take(step.pod, step.want)
		if step.got == "" && err == nil || step.got != "" && got.String() != step.got {
			t.Errorf("%s: %v, %v; want %s", step.sentence, got, err, step.got)
		}
	}
}

func TestWithoutPodCIDR(t *testing.T) {
	if a, err := new(addresses).take("a", netip.Addr{}); err == nil {
		t.Errorf("an address from nowhere: %s", a)
	}
}

// No two pods ever share an address, and all of the range can be used.
func TestAddressesAreUnique(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a addresses
		a.use(netip.MustParsePrefix("10.0.0.0/28"))
		for _, op := range rapid.SliceOf(rapid.IntRange(0, 39)).Draw(t, "ops") {
			pod := types.UID(rune('a' + op%20))
			if op >= 20 {
				a.release(pod)
				continue
			}
			if _, err := a.take(pod, netip.Addr{}); err != nil && len(a.used) != 13 {
				t.Fatalf("refused with %d in use: %v", len(a.used), err)
			}
		}
		if len(a.of) != len(a.used) {
			t.Fatalf("%d pods hold %d addresses", len(a.of), len(a.used))
		}
		for pod, address := range a.of {
			if a.used[address] != pod || !a.cidr.Contains(address.Next()) {
				t.Fatalf("%s holds %s, which is %s's", pod, address, a.used[address])
			}
		}
	})
}
