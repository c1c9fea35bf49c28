package registry

import (
	"testing"

	"optimist/internal/api"
)

// BenchmarkNote is what the journal adds to the CPU time of every write; e2e/bench measures whole writes with and without it.
func BenchmarkNote(b *testing.B) {
	ctx := api.WithUser(b.Context(), api.User{Name: "system:controller:replicaset"})
	ctx = api.WithCauses(ctx, api.Causes{}.Add(api.Cause{Type: api.CauseTrigger, Revision: 4711}, api.Cause{Type: api.CauseOwner, Revision: 4710}))
	r := api.Request{Target: api.Target{Kind: api.PodKind, Key: api.Key{Namespace: "default", Name: "web-587bb4c465-28jdx"}}, Verb: api.VerbCreate}
	n := 0
	for b.Loop() {
		n = len(note(ctx, r, "web-587bb4c465-28jdx"))
	}
	b.ReportMetric(float64(n), "bytes")
}
