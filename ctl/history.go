package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"optimist/ctl/history"
	"optimist/ctl/trace"
	"optimist/internal/api"
)

// past is `ctl history`: who changed an object, when, because of what, and how.
type past struct {
	*session
	since, output string
	limit         int
	known         map[api.Revision]*api.Entry // causes that were asked for
}

// chapter is one entry with what it did to the object.
type chapter struct {
	api.Entry
	Because string           `json:"because,omitempty"`
	Created bool             `json:"created,omitempty"`
	Deleted bool             `json:"deleted,omitempty"`
	Changes []history.Change `json:"changes,omitempty"`
}

func historyCommand(s *session) *cobra.Command {
	p := &past{session: s, known: map[api.Revision]*api.Entry{}}
	c := &cobra.Command{Use: "history TYPE/NAME…", Short: "Tell who changed an object, when, how, and because of what",
		Example:           "  ctl history deployment/web\n  ctl history pod/web-x1 --since 10m\n  ctl history node/n1 --limit 5 -o json",
		ValidArgsFunction: s.completeObjects,
		Long: `Tell who changed an object, when, how, and because of what, from the API server's journal.

The journal also knows of objects that are gone, and of earlier ones of the same name. It reaches back as far as the API server is told to
remember (--history, --history-size).`,
		RunE: func(c *cobra.Command, args []string) error {
			if p.limit < 0 {
				return usage(c, "--limit must not be negative")
			}
			if err := oneOf("unable to match a printer suitable for the output format %q, allowed formats are: json", p.output, "", "json"); err != nil {
				return err
			}
			return s.eachNamed(c, args, func(t api.Target) error { return p.run(c, t) })
		},
	}
	f := c.Flags()
	f.StringVar(&p.since, "since", "", "Only what is younger: 10m, or a time (RFC 3339)")
	f.IntVar(&p.limit, "limit", 0, "Only so many of the newest writes; 0 means all")
	f.StringVarP(&p.output, "output", "o", "", "Output format: json")
	return c
}

func (p *past) run(c *cobra.Command, t api.Target) error {
	params := about(t)
	if p.since != "" {
		params.Set("since", p.since)
	}
	var all []api.Entry
	left := false
	err := p.journal(c.Context(), params, func(e api.Entry) (bool, error) {
		if all = append(all, e); p.limit > 0 && len(all) > p.limit {
			all, left = all[1:], true
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return p.nothing(c, t)
	}
	if p.output == "" && !left && p.since == "" && !born(t, all[0]) {
		fmt.Fprintf(c.OutOrStdout(), "what was before revision %d is forgotten\n", all[0].Revision)
	}
	for _, e := range all {
		told, err := p.tell(c.Context(), t, e)
		if err == nil {
			err = p.print(c, told)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nothing tells what an empty history means.
func (p *past) nothing(c *cobra.Command, t api.Target) error {
	if p.since != "" {
		fmt.Fprintf(c.ErrOrStderr(), "Nobody has changed it since %s.\n", p.since)
		return nil
	}
	if _, err := p.Get(c.Context(), t, api.GetOptions{}); err != nil {
		return err
	}
	begins := "the journal was shortened"
	err := p.journal(c.Context(), url.Values{"limit": {"1"}}, func(first api.Entry) (bool, error) {
		begins = fmt.Sprintf("revision %d, %s ago, where the journal begins", first.Revision, duration.HumanDuration(time.Since(first.Time)))
		return true, nil
	})
	fmt.Fprintf(c.ErrOrStderr(), "Nobody has changed it since %s.\n", begins)
	return err
}

// effect is what a write did to one object.
func effect(t api.Target, e api.Entry) api.Changed {
	for _, c := range e.Changed {
		if c.Object.Kind == t.Kind.Name && c.Object.Group == t.Kind.Group && c.Object.Key() == t.Key {
			return c
		}
	}
	return api.Changed{}
}

func born(t api.Target, e api.Entry) bool { return effect(t, e).Was == 0 }

func (p *past) tell(ctx context.Context, t api.Target, e api.Entry) (chapter, error) {
	told := chapter{Entry: e, Created: born(t, e), Deleted: effect(t, e).Gone}
	if cause, ok := trace.Nearest(e.Causes); ok {
		of, asked := p.known[cause.Revision]
		if !asked && cause.Revision > 0 {
			of = p.entry(ctx, cause.Revision)
			p.known[cause.Revision] = of
		}
		told.Because = trace.Because(cause, of, t.Key.Namespace)
		if more := len(e.Causes.Edges) - 1 + e.Causes.More; more > 0 {
			told.Because += fmt.Sprintf(" and %d more", more)
		}
	}
	if told.Created || told.Deleted {
		return told, nil
	}
	var states [2]api.Object
	for i, at := range []api.Revision{e.Revision - 1, e.Revision} {
		r, err := p.Get(ctx, t, api.GetOptions{At: at})
		if err != nil {
			return told, err
		}
		states[i] = r.Object
	}
	var err error
	told.Changes, err = history.Diff(t.Kind, states[0], states[1])
	return told, err
}

func (p *past) print(c *cobra.Command, told chapter) error {
	out := c.OutOrStdout()
	if p.output == "json" {
		data, err := json.Marshal(told)
		if err == nil {
			_, err = fmt.Fprintf(out, "%s\n", data)
		}
		return err
	}
	e := told.Entry
	fmt.Fprintf(out, "revision %d, %s ago: %s, %s\n", e.Revision, duration.HumanDuration(time.Since(e.Time)), trace.Who(e), trace.Did(e))
	if told.Because != "" {
		fmt.Fprintln(out, "  "+told.Because)
	}
	switch {
	case told.Created:
		fmt.Fprintf(out, "    created; --at=%d shows it\n", e.Revision)
	case told.Deleted:
		fmt.Fprintf(out, "    gone; --at=%d shows it as it was last\n", e.Revision-1)
	case len(told.Changes) == 0:
		fmt.Fprintln(out, "    nothing that anybody would see")
	}
	for _, change := range told.Changes {
		fmt.Fprintln(out, "    "+change.String())
	}
	return nil
}

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
