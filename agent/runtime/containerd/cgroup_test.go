package containerd

import (
	"slices"
	"testing"

	"optimist/agent/runtime"
)

func TestLimitsInBothVersions(t *testing.T) {
	all := runtime.Limits{CPUShares: 1024, CPUQuota: 50_000, MemoryBytes: 1 << 20}
	for _, test := range []struct {
		sentence string
		unified  bool
		limits   runtime.Limits
		want     []setting
	}{
		{"version 1 has a tree for each controller", false, all, []setting{
			{"cpu", "cpu.shares", "1024"}, {"cpu", "cpu.cfs_period_us", "100000"}, {"cpu", "cpu.cfs_quota_us", "50000"}, {"memory", "memory.limit_in_bytes", "1048576"}}},
		{"version 2 has one, and other names", true, all, []setting{
			{"", "cpu.weight", "39"}, {"", "cpu.max", "50000 100000"}, {"", "memory.max", "1048576"}}},
		{"what is not limited is not written", true, runtime.Limits{}, nil},
	} {
		if got := (&cgroups{unified: test.unified}).settings(test.limits); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v", test.sentence, got)
		}
	}
}

func TestIDsAreReadBack(t *testing.T) {
	want := runtime.ContainerID{Pod: "6d1f-uid", Name: "web", Attempt: 12}
	if got, ok := parseID(want.String()); !ok || got != want {
		t.Errorf("%v, %v", got, ok)
	}
	for _, bad := range []string{"", "x", "a.b", "a.b.c", ".b.1", "a..1"} {
		if got, ok := parseID(bad); ok {
			t.Errorf("%q is %v", bad, got)
		}
	}
}
