package registry

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"optimist/internal/api"
	wire "optimist/proto"
)

// note is the journal entry of a write: who did what to which object, and why (law 7).
func note(ctx context.Context, r api.Request, name string) []byte {
	user, _ := api.UserFrom(ctx)
	n := &wire.Note{TimeNs: time.Now().UnixNano(), User: user.Name, Verb: string(r.Verb), Manager: r.Manager, Target: &wire.Target{
		Group: r.Kind.Group, Kind: r.Kind.Name, Version: r.Version, Namespace: r.Key.Namespace, Name: name, Sub: r.Sub}}
	if causes := api.CausesFrom(ctx); len(causes.Edges) > 0 || causes.More > 0 {
		n.Causes = &wire.Causes{More: int32(causes.More)}
		for _, c := range causes.Edges {
			n.Causes.Edges = append(n.Causes.Edges, &wire.Cause{Type: string(c.Type), Revision: int64(c.Revision)})
		}
	}
	b, err := proto.Marshal(n)
	if err != nil {
		return nil // only text that is not UTF-8 cannot be marshalled; the write matters more than its note
	}
	return b
}
