package console

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"optimist/internal/api"
)

// Act is what one look at an object led to. It becomes one line of the log, with the same keys in the same order in every component:
//
//	msg=acted … object=replicaset/default/web revision=412 cause=trigger@412 step="create pods default/web-x1 and 2 more" why="3 are missing" wrote=415
type Act struct {
	Object   string // kind/namespace/name
	Revision api.Revision
	Causes   api.Causes
	Wrote    api.Revision // the last revision written; 0 = none
	did      []deed
	more     int
}

// deed is a step, or several of one sort that followed each other for one reason.
type deed struct {
	sort, step, why string
	n               int
}

// maxDeeds is how many sorts of steps a line names.
const maxDeeds = 4

// Did adds a step. Steps of one sort that follow each other for the same reason are counted, not listed.
func (a *Act) Did(sort, step, why string) {
	last := len(a.did) - 1
	switch {
	case last >= 0 && a.more == 0 && a.did[last].sort == sort && a.did[last].why == why:
		a.did[last].n++
	case len(a.did) == maxDeeds:
		a.more++
	default:
		a.did = append(a.did, deed{sort, step, why, 1})
	}
}

// Log writes the line, if anything was done.
func (a *Act) Log(ctx context.Context, log *slog.Logger, level slog.Level) {
	if len(a.did) == 0 || !log.Enabled(ctx, level) {
		return
	}
	var steps, whys []string
	for _, d := range a.did {
		if d.n > 1 {
			d.step = fmt.Sprintf("%s and %d more", d.step, d.n-1)
		}
		steps = append(steps, d.step)
		if len(whys) == 0 || whys[len(whys)-1] != d.why {
			whys = append(whys, d.why)
		}
	}
	if a.more > 0 {
		steps = append(steps, fmt.Sprintf("and %d more steps", a.more))
	}
	log.LogAttrs(ctx, level, acted, slog.String("object", a.Object), slog.String("revision", a.Revision.String()), slog.String("cause", a.Causes.String()),
		slog.String("step", strings.Join(steps, "; ")), slog.String("why", strings.Join(whys, "; ")), slog.String("wrote", a.Wrote.String()))
}

const acted = "acted"
