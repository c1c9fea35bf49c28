package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"optimist/internal/api"
	"optimist/internal/console"
)

// components are those that run once in a cluster; an agent runs on every node.
var components = []string{"apiserver", "scheduler", "controllers"}

// voice is a component that can be asked for its log.
type voice struct {
	name   string
	target api.Target
}

// voices prints the logs of several components as one, in the order of time.
type voices struct {
	*logs
	width     int // of the names
	out, errs io.Writer

	mu   sync.Mutex // guards what follows
	held []spoken
}

// spoken is a line that waits for older ones of other components.
type spoken struct {
	at, arrived time.Time
	text        string
}

const (
	patience = 200 * time.Millisecond // how long a line waits, when several logs are followed
	again    = time.Second            // between questions to a component that has died
)

// runComponents prints what components have logged, or follows it through their deaths.
func (l *logs) runComponents(c *cobra.Command, args []string) error {
	all, err := l.voices(c, args)
	if err != nil {
		return err
	}
	v := &voices{logs: l, width: width(all), out: c.OutOrStdout(), errs: c.ErrOrStderr()}
	ctx, cancel := context.WithCancel(c.Context())
	var telling sync.WaitGroup
	if l.follow {
		telling.Go(func() { v.keepTelling(ctx) })
	}
	var hearing sync.WaitGroup
	errs := make([]error, len(all), len(all)+1)
	for i, one := range all {
		hearing.Go(func() { errs[i] = v.hear(ctx, one, len(all) > 1) })
	}
	hearing.Wait()
	cancel()
	telling.Wait()
	return errors.Join(append(errs, v.tell(time.Now()))...)
}

// voices says which logs are meant.
func (l *logs) voices(c *cobra.Command, args []string) (all []voice, err error) {
	if len(args) > 0 {
		return nil, usage(c, "only --component or a POD name is allowed")
	}
	for _, word := range l.components {
		names, err := l.meant(c.Context(), word)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			v := voice{name, api.Target{Kind: api.ComponentStatusKind, Key: api.Key{Name: name}, Sub: "log"}}
			node, isNode := strings.CutPrefix(name, "node/")
			switch {
			case isNode && node != "":
				v.target.Kind, v.target.Key.Name = api.NodeKind, node
			case !slices.Contains(components, name):
				return nil, usage(c, "unknown component %q: there are %s, node/NAME, agent (those of all nodes) and all", name, strings.Join(components, ", "))
			}
			if !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
	}
	if len(all) > maxFollowed {
		return nil, fmt.Errorf("%d logs at once are too many (at most %d): name fewer nodes", len(all), maxFollowed)
	}
	return all, nil
}

// meant are the names that a word stands for.
func (l *logs) meant(ctx context.Context, word string) (names []string, err error) {
	switch {
	case word == "agent" && l.node != "":
		return []string{"node/" + l.node}, nil
	case word == "all":
		names = components
	case word != "agent":
		return []string{word}, nil
	}
	nodes, err := api.Nodes.List(ctx, l, "", api.ListOptions{})
	for _, n := range nodes {
		names = append(names[:len(names):len(names)], "node/"+n.Name)
	}
	return names, err
}

// hear passes on what a component has logged. Of one that dies while it is followed, or among others, it says so and asks again.
func (v *voices) hear(ctx context.Context, from voice, others bool) error {
	l := &listener{voices: v, name: from.name}
	if v.since > 0 {
		l.after = time.Now().Add(-v.since)
	}
	params := v.params("")
	for troubled := false; ; troubled = true {
		err := v.listen(ctx, from.target, params, &byLine{see: l.line})
		switch {
		case err == nil || ctx.Err() != nil:
			return ctx.Err()
		case !v.follow && others:
			return fmt.Errorf("%s: %w", from.name, err)
		case !v.follow || !others && l.last.IsZero():
			return err
		case l.heard:
			fmt.Fprintf(v.errs, "%s does not answer any more; asking again until it does\n", from.name)
		case !troubled:
			fmt.Fprintf(v.errs, "%s: %s; asking again until it answers\n", from.name, strings.TrimPrefix(explain(err), "error: "))
		}
		l.heard, l.after = false, l.last
		params.Del("tailLines") // it may have begun a new log; what is old is known by its time
		select {
		case <-time.After(again):
		case <-ctx.Done():
		}
	}
}

// listener takes the lines of one component.
type listener struct {
	*voices
	name  string
	last  time.Time // of the newest line
	after time.Time // older lines are left out
	heard bool      // a line, since it was asked
}

func (l *listener) line(line []byte) error {
	l.heard = true
	text := string(line)
	r, ok := console.Parse(text)
	if !ok {
		r = console.Record{Time: l.last, Message: strings.TrimSuffix(text, "\n")}
	}
	if l.last = r.Time; !r.Time.After(l.after) && !l.after.IsZero() {
		return nil
	}
	if !l.asWritten {
		text = readable(l.width, l.name, r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = append(l.held, spoken{r.Time, time.Now(), text})
	return nil
}

// keepTelling prints what has waited long enough.
func (v *voices) keepTelling(ctx context.Context) {
	for tick := time.Tick(patience / 2); ctx.Err() == nil; {
		select {
		case <-tick:
		case <-ctx.Done():
		}
		if v.tell(time.Now().Add(-patience)) != nil {
			return // nobody reads any more
		}
	}
}

// tell prints the lines that arrived before a time, and those of others that are older than they.
func (v *voices) tell(before time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	slices.SortStableFunc(v.held, func(a, b spoken) int { return a.at.Compare(b.at) })
	n := 0
	for i, s := range v.held {
		if !s.arrived.After(before) {
			n = i + 1
		}
	}
	for _, s := range v.held[:n] {
		if _, err := io.WriteString(v.out, s.text); err != nil {
			return err
		}
	}
	v.held = slices.Delete(v.held, 0, n)
	return nil
}

// width is that of the column with the components' names.
func width(all []voice) (n int) {
	for _, v := range all {
		n = max(n, len(v.name))
		if v.name == "controllers" {
			n = max(n, len("controllers/tainteviction"))
		}
	}
	return n
}

// readable is a record as people read it. The widths are for common names; longer ones push the rest to the right.
//
//	16:04:05.123 controllers/replicaset replicaset/default/web@412   trigger@412   create pods default/web-x1: one is missing → 415
func readable(width int, component string, r console.Record) string {
	if controller := r.Get("controller"); controller != "" {
		component += "/" + controller
	}
	clock := strings.Repeat(" ", len(clockTime))
	if !r.Time.IsZero() {
		clock = r.Time.Local().Format(clockTime)
	}
	return fmt.Sprintf("%s %-*s %s\n", clock, width, component, spokenOf(r))
}

const clockTime = "15:04:05.000"

func spokenOf(r console.Record) string {
	if r.Acted() {
		text := fmt.Sprintf("%-40s %-12s %s", r.Get("object")+"@"+r.Get("revision"), r.Get("cause"), reasoned(r.Get("step"), r.Get("why")))
		if wrote := r.Get("wrote"); wrote != "" {
			text += " → " + wrote
		}
		return text
	}
	words := []string{r.Message}
	if r.Level > slog.LevelInfo {
		words = []string{r.Level.String(), r.Message}
	}
	for _, p := range r.Attrs {
		if p.Key != "component" && p.Key != "controller" {
			words = append(words, p.Key+"="+quoted(p.Value))
		}
	}
	return strings.Join(words, " ")
}

// reasoned puts each reason behind its step, where there are as many of the one as of the other.
func reasoned(step, why string) string {
	steps, whys := strings.Split(step, "; "), strings.Split(why, "; ")
	if len(steps) != len(whys) {
		return step + ": " + why
	}
	for i := range steps {
		steps[i] += ": " + whys[i]
	}
	return strings.Join(steps, "; ")
}

func quoted(value string) string {
	if value == "" || strings.ContainsAny(value, " \"=\n") {
		return strconv.Quote(value)
	}
	return value
}
