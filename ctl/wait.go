package ctl

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

type waiting struct {
	selection
	documents
	output     printer.Format
	conditions []string
	timeout    time.Duration
	end        time.Time
}

func waitCommand(s *session) *cobra.Command {
	w := &waiting{selection: selection{session: s}}
	c := &cobra.Command{Use: "wait TYPE/NAME… --for=(condition=NAME[=VALUE] | jsonpath=PATH[=VALUE] | create | delete)", Short: "Wait until objects are as asked for",
		Example:           "  ctl wait pod/web --for=condition=Ready --timeout=60s\n  ctl wait pods -l app=web --for=delete\n  ctl wait deploy/web --for=jsonpath='{.status.readyReplicas}'=2",
		ValidArgsFunction: s.completeObjects, RunE: w.run}
	w.selection.flags(c)
	w.fileFlags(c)
	formatFlags(c, &w.output, false)
	c.Flags().BoolVar(&w.every, "all", false, "Wait for all objects of the kind")
	c.Flags().StringArrayVar(&w.conditions, "for", nil, "What to wait for; several are waited for one after the other")
	c.Flags().DurationVar(&w.timeout, "timeout", 30*time.Second, "How long; 0 looks once, a negative time means a week")
	complete(c, "for", words("condition=", "create", "delete", "jsonpath="))
	return c
}

// met reports whether an object is as asked for.
type met func(api.Object) (bool, error)

func (w *waiting) run(c *cobra.Command, args []string) error {
	if err := w.output.Parse(false); err != nil {
		return err
	}
	checks, removal, creation, err := parseConditions(w.conditions)
	if err != nil {
		return err
	}
	if w.timeout < 0 {
		w.timeout = 7 * 24 * time.Hour
	}
	w.end = time.Now().Add(w.timeout)
	targets, wrong := w.choose(c, args, &w.documents)
	for creation && len(targets)+len(wrong) == 0 && w.timeout > 0 { // of what is selected, at least one
		if err := w.any(c, args); err != nil {
			return err
		}
		targets, wrong = w.choose(c, args, &w.documents)
	}
	if len(targets)+len(wrong) == 0 && !removal {
		return errors.New("no matching resources found")
	}
	return each(targets, wrong, func(t api.Target) error {
		for _, check := range checks {
			o, err := w.one(c, t, check, removal || creation)
			if err != nil || o == nil { // gone before anybody saw it
				return err
			}
			if w.output.Name != "" {
				err = w.output.Object(c.OutOrStdout(), printer.Item{Kind: t.Kind, Object: o})
			} else {
				_, err = fmt.Fprintln(c.OutOrStdout(), printer.Named(t.Kind, t.Key.Name), "condition met")
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// parseConditions understands --for. A nil check is that for deletion.
func parseConditions(texts []string) (checks []met, removal, creation bool, err error) {
	for _, text := range texts {
		name, rest, valued := strings.Cut(text, "=")
		switch low := strings.ToLower(text); {
		case low == "delete":
			checks, removal = append(checks, nil), true
		case low == "create":
			checks, creation = append(checks, func(api.Object) (bool, error) { return true, nil }), true
		case valued && strings.EqualFold(name, "condition"):
			kind, value, _ := strings.Cut(rest, "=")
			checks = append(checks, conditionMet(kind, cmp.Or(value, "true")))
		case valued && name == "jsonpath":
			check, err := pathMet(rest)
			if err != nil {
				return nil, false, false, err
			}
			checks = append(checks, check)
		default:
			return nil, false, false, fmt.Errorf("unrecognized condition: %q", text)
		}
	}
	if checks == nil {
		err = fmt.Errorf("unrecognized condition: %q", texts)
	}
	return checks, removal, creation, err
}

// conditionMet believes no condition that was written about an older generation.
func conditionMet(kind, value string) met {
	return func(o api.Object) (bool, error) {
		data, err := printer.Data(o)
		status, _ := data["status"].(map[string]any)
		all, _ := status["conditions"].([]any)
		for _, one := range all {
			c, _ := one.(map[string]any)
			seen, ok := c["observedGeneration"].(int64)
			if name, _ := c["type"].(string); ok && seen < o.GetGeneration() || !strings.EqualFold(name, kind) {
				continue
			}
			if seen, ok := status["observedGeneration"].(int64); ok && seen < o.GetGeneration() {
				return false, nil
			}
			now, _ := c["status"].(string)
			return strings.EqualFold(now, value), nil
		}
		return false, err
	}
}

// pathMet reads PATH or PATH=VALUE; "==" within a filter divides nothing.
func pathMet(text string) (met, error) {
	const double = "\x00"
	parts := strings.Split(strings.ReplaceAll(text, "==", double), "=")
	if len(parts) > 2 {
		return nil, errors.New("jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or --for=jsonpath='{.status.readyReplicas}'")
	}
	p, err := printer.NewPath(strings.ReplaceAll(parts[0], double, "=="))
	if err != nil {
		return nil, err
	}
	want := ""
	if len(parts) == 2 {
		if want = strings.Trim(strings.ReplaceAll(parts[1], double, "=="), `'"`); want == "" {
			return nil, errors.New("jsonpath wait has to have a value after equal sign, like --for=jsonpath='{.status.readyReplicas}'=3")
		}
	}
	return func(o api.Object) (bool, error) {
		data, err := printer.Data(o)
		if err != nil {
			return false, err
		}
		values, err := p.Values(data)
		switch {
		case err != nil || len(values) == 0:
			return false, err
		case len(values) > 1:
			return false, errors.New("given jsonpath expression matches more than one value")
		case want == "":
			return true, nil
		}
		switch values[0].(type) {
		case map[string]any, []any:
			return false, errors.New("jsonpath leads to a nested object or list which is not supported")
		}
		return strings.TrimSpace(fmt.Sprint(values[0])) == strings.TrimSpace(want), nil
	}, nil
}

// left is how much time remains; never 0, which would be for ever.
func (w *waiting) left() time.Duration { return max(1, min(time.Until(w.end), math.MaxInt64)) }

// one waits for one object, which may be absent at first (or at last). Without any time it looks once.
func (w *waiting) one(c *cobra.Command, t api.Target, check met, absent bool) (last api.Object, err error) {
	there, once, limit := false, w.timeout == 0, w.left()
	if once {
		limit = 0 // the first look is the end
	}
	err = w.watch(c.Context(), limit, t, api.WatchOptions{Initial: true}, func(e api.Event) (bool, error) {
		switch {
		case e.Object != nil && e.Type == api.Deleted:
			if check == nil {
				last = e.Object
			}
			return check == nil, nil
		case e.Object != nil:
			if last, there = e.Object, true; check != nil {
				return check(e.Object)
			}
		case e.InitialEnd && !there && check == nil:
			return true, nil
		case e.InitialEnd && !there && (once || !absent):
			return false, t.Kind.NotFound(t.Key.Name)
		case e.InitialEnd && once:
			return false, fmt.Errorf("condition not met for %s/%s", t.Kind.Plural, t.Key.Name)
		}
		return false, nil
	})
	if errors.Is(err, errTimeout) {
		err = fmt.Errorf("%w on %s/%s", err, t.Kind.Plural, t.Key.Name)
	}
	return last, err
}

// any waits until there is something that is selected.
func (w *waiting) any(c *cobra.Command, args []string) error {
	wants, wrong := w.from(c, args, &w.documents)
	return each(wants, wrong, func(of wanted) error {
		o := api.WatchOptions{Initial: true, Selector: w.options.Selector, Fields: w.options.Fields}
		return w.watch(c.Context(), w.left(), w.where(of), o, func(e api.Event) (bool, error) { return e.Object != nil && e.Type != api.Deleted, nil })
	})
}
