package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/store"
	"optimist/internal/api"
	"optimist/internal/console"
)

// question is what is asked of the journal: the parameters of Connect, all of which may be missing.
type question struct {
	after, until store.Revision // the writes above the one and up to the other
	since        string         // instead of after: younger than this time
	at           string         // instead of all these: the newest write at this time or revision
	kind         *api.Kind      // only writes that changed an object of this kind …
	key          api.Key        // … in this namespace, and of this name
	limit        int            // no more than so many
	follow       bool           // go on with what is written from now on
}

// Connect tells the writes that are asked for, oldest first, one api.Entry a line. What is wrong with the question is said before the stream
// begins.
func (j *Journal) Connect(ctx context.Context, params url.Values) (api.Stream, error) {
	q, err := j.parse(params)
	if err != nil {
		return nil, err
	}
	if err := j.settle(ctx, &q); err != nil {
		return nil, err
	}
	near, far := console.Pipe(ctx)
	go func() {
		_ = console.Finish(far, j.tell(ctx, far, q)) // fails only when nobody listens any more
	}()
	return near, nil
}

func (j *Journal) parse(params url.Values) (q question, err error) {
	number := func(name string) int64 {
		n, nerr := strconv.ParseInt(params.Get(name), 10, 64)
		if params.Has(name) && (nerr != nil || n < 0) {
			err = apierrors.NewBadRequest(fmt.Sprintf("%s=%q: must be a number", name, params.Get(name)))
		}
		return max(n, 0)
	}
	q = question{after: store.Revision(number("after")), until: store.Revision(number("until")), limit: int(number("limit")),
		since: params.Get("since"), at: params.Get("at"), follow: params.Get("follow") == "true",
		key: api.Key{Namespace: params.Get("namespace"), Name: params.Get("name")}}
	if kind := params.Get("kind"); kind != "" {
		if q.kind = j.kindNamed(kind); q.kind == nil {
			err = apierrors.NewBadRequest(fmt.Sprintf("kind=%q is not known", kind))
		}
	}
	return q, err
}

// kindNamed finds a kind by its plural and group: "pods", "deployments.apps".
func (j *Journal) kindNamed(name string) *api.Kind {
	for _, k := range j.kinds {
		if k.String() == name {
			return k
		}
	}
	return nil
}

// settle turns times into revisions, and refuses what is not known yet, or no longer.
func (j *Journal) settle(ctx context.Context, q *question) error {
	floor, now, err := j.span(ctx)
	if err != nil {
		return err
	}
	switch {
	case q.at != "":
		if q.until, err = j.at(ctx, q.at, floor, now); err != nil {
			return err
		}
		*q = question{after: q.until - 1, until: q.until}
	case q.since != "":
		t, err := parseTime("since", q.since, time.Now())
		if err != nil {
			return err
		}
		first, err := j.search(ctx, floor, now, t)
		if err != nil {
			return err
		}
		q.after = max(q.after, first-1)
	case q.after == 0 && q.until == 0:
		q.after = floor // everything that there is
	}
	if newest := max(q.after, q.until); newest > now {
		return apierrors.NewBadRequest(fmt.Sprintf("revision %d has not been written yet: the newest is %d", newest, now))
	}
	if q.after < floor {
		return j.forgotten(ctx, fmt.Sprintf("revision %d", q.after+1))
	}
	if q.until == 0 && !q.follow {
		q.until = now
	}
	return nil
}

// tell sends what is asked for. Lines are gathered while more are there to be read.
func (j *Journal) tell(ctx context.Context, s api.Stream, q question) error {
	if q.until > 0 && q.after >= q.until {
		return nil
	}
	now, err := j.store.Now(ctx)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(frames{s}, api.FrameSize)
	lines := json.NewEncoder(out)
	told := 0
	for e, err := range j.after(ctx, q.after, q.until) {
		switch {
		case errors.Is(err, store.ErrSlow), errors.Is(err, store.ErrCompacted):
			return j.forgotten(ctx, "what comes next")
		case err != nil:
			return err
		}
		if q.wants(e) {
			if err := lines.Encode(e); err != nil {
				return err
			}
			told++
		}
		if store.Revision(e.Revision) >= now {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		if told == q.limit && q.limit > 0 {
			break
		}
	}
	return out.Flush()
}

// wants reports whether a write changed what is asked about. It is the changed keys that count, not what the request named: one request may
// remove many objects.
func (q question) wants(e api.Entry) bool {
	for _, c := range e.Changed {
		o := c.Object
		if (q.kind == nil || o.Group == q.kind.Group && o.Kind == q.kind.Name) && (q.key.Namespace == "" || q.key.Namespace == o.Namespace) &&
			(q.key.Name == "" || q.key.Name == o.Name) {
			return true
		}
	}
	return false
}

// frames makes frames of what is written.
type frames struct{ api.Stream }

func (f frames) Write(p []byte) (int, error) {
	for piece := range slices.Chunk(p, api.FrameSize) {
		if err := f.Send(api.Frame{Channel: api.ChannelStdout, Data: bytes.Clone(piece)}); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
