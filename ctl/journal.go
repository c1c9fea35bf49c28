package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"optimist/internal/api"
)

var errEnough = errors.New("the reader has enough")

// journal reads what the API server's journal says, entry by entry, until the reader has enough.
func (s *session) journal(ctx context.Context, params url.Values, see func(api.Entry) (enough bool, err error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	target := api.Target{Kind: api.ComponentStatusKind, Key: api.Key{Name: "apiserver"}, Sub: "journal"}
	err := s.listen(ctx, target, params, &byLine{see: func(line []byte) error {
		var e api.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("the journal says %.100q: %w", line, err)
		}
		enough, err := see(e)
		if enough {
			err = errors.Join(err, errEnough)
		}
		return err
	}})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// entry is the write of a revision; nil if the journal does not know it any more.
func (s *session) entry(ctx context.Context, r api.Revision) (found *api.Entry) {
	_ = s.journal(ctx, url.Values{"at": {r.String()}}, func(e api.Entry) (bool, error) { // what cannot be told is left out
		found = &e
		return true, nil
	})
	return found
}

// about selects the writes that changed an object.
func about(t api.Target) url.Values {
	return url.Values{"kind": {t.Kind.String()}, "namespace": {t.Key.Namespace}, "name": {t.Key.Name}}
}

// at is the revision that --at means: a number, or what was newest at a time.
func (s *session) at(ctx context.Context, text string) (r api.Revision, err error) {
	if text == "" {
		return 0, nil
	}
	err = s.journal(ctx, url.Values{"at": {text}}, func(e api.Entry) (bool, error) {
		r = e.Revision
		return true, nil
	})
	if n, nerr := strconv.ParseUint(text, 10, 63); nerr == nil && err == nil {
		return api.Revision(n), nil // whether or not that revision changed anything
	}
	return r, err
}
