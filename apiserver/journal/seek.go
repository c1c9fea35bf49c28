package journal

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// at is the newest revision at a time, which may itself be a revision.
func (j *Journal) at(ctx context.Context, text string, floor, now store.Revision) (store.Revision, error) {
	if r, err := api.ParseRevision(text); err == nil && r > 0 {
		return store.Revision(r), nil
	}
	t, err := parseTime("at", text, time.Now())
	if err != nil {
		return 0, err
	}
	younger, err := j.search(ctx, floor, now, t)
	if err == nil && younger == floor+1 {
		err = j.forgotten(ctx, "what was at "+t.UTC().Format(time.RFC3339))
	}
	return younger - 1, err
}

// search is the first revision above floor whose write is younger than t; now+1 if there is none. Writes come in the order of their times, as
// far as nobody sets the API server's clock back, so that some dozen looks into the log are enough, however long it is.
func (j *Journal) search(ctx context.Context, floor, now store.Revision, t time.Time) (store.Revision, error) {
	var failed error
	n := sort.Search(int(now-floor), func(n int) bool {
		e, ok, err := j.next(ctx, floor+store.Revision(n), now)
		failed = errors.Join(failed, err)
		return ok && e.Time.After(t)
	})
	return floor + store.Revision(n) + 1, failed
}

// span is what can be read: the writes above floor, up to now.
func (j *Journal) span(ctx context.Context) (floor, now store.Revision, err error) {
	if now, err = j.store.Now(ctx); err != nil {
		return 0, 0, err
	}
	var failed error
	n := sort.Search(int(now), func(n int) bool {
		_, err := j.store.Watch(ctx, "", store.Revision(n))
		if err != nil && !errors.Is(err, store.ErrCompacted) {
			failed = err
		}
		return err == nil
	})
	return store.Revision(n), now, failed
}

// forgotten says that something is asked for which is no longer known, and what is.
func (j *Journal) forgotten(ctx context.Context, what string) error {
	floor, now, err := j.span(ctx)
	if err != nil {
		return err
	}
	oldest, ok, err := j.next(ctx, floor, now)
	if err != nil {
		return err
	}
	if !ok {
		return apierrors.NewResourceExpired(fmt.Sprintf("%s is not in the journal: nothing is left of what was written up to revision %d", what, now))
	}
	return apierrors.NewResourceExpired(fmt.Sprintf("%s is not in the journal, which begins at revision %d (%s)", what, oldest.Revision, oldest.Time.UTC().Format(time.RFC3339)))
}

// parseTime understands a moment as people say it: -5m and 5m are five minutes ago, the rest is RFC 3339.
func parseTime(name, text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(strings.TrimPrefix(text, "-")); err == nil {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return t, apierrors.NewBadRequest(fmt.Sprintf("%s=%q: must be a time ago like -5m, or a moment like %s", name, text, now.UTC().Format(time.RFC3339)))
	case t.After(now):
		return t, apierrors.NewBadRequest(fmt.Sprintf("%s=%q lies in the future: the API server's clock says %s", name, text, now.UTC().Format(time.RFC3339)))
	}
	return t, nil
}
