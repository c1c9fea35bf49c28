package ctl

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"optimist/internal/console"
)

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
