package ctl

import (
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"optimist/internal/console"
)

// style is how lines of components' logs look on a screen.
type style struct {
	colored bool
	width   int // of the column with the components' names
}

func newStyle(color string, out io.Writer, all []voice) (s style, err error) {
	switch color {
	case "auto":
		s.colored = terminalOf(out) != nil && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	case "always", "never":
		s.colored = color == "always"
	default:
		return s, fmt.Errorf("--color=%s: want auto, always or never", color)
	}
	for _, v := range all {
		s.width = max(s.width, len(v.name))
		if v.name == "controllers" {
			s.width = max(s.width, len("controllers/tainteviction"))
		}
	}
	return s, nil
}

// line is a record as people read it. The widths are for common names; longer ones push the rest to the right.
//
//	16:04:05.123 controllers/replicaset replicaset/default/web@412   trigger@412   create pods default/web-x1: one is missing → 415
func (s style) line(component string, r console.Record) string {
	if controller := r.Get("controller"); controller != "" {
		component += "/" + controller
	}
	clock := strings.Repeat(" ", len(clockTime))
	if !r.Time.IsZero() {
		clock = r.Time.Local().Format(clockTime)
	}
	return fmt.Sprintf("%s %s %s\n", clock, s.paint(fmt.Sprintf("%-*s", s.width, component), colorOf(component)), s.words(r))
}

const clockTime = "15:04:05.000"

func (s style) words(r console.Record) string {
	if r.Acted() {
		text := fmt.Sprintf("%-40s %-12s %s", r.Get("object")+"@"+r.Get("revision"), r.Get("cause"), reasoned(r.Get("step"), r.Get("why")))
		if wrote := r.Get("wrote"); wrote != "" {
			text += " → " + wrote
		}
		return text
	}
	words := []string{r.Message}
	switch {
	case r.Level >= slog.LevelError:
		words = []string{s.paint(r.Level.String(), 31), r.Message}
	case r.Level > slog.LevelInfo:
		words = []string{s.paint(r.Level.String(), 33), r.Message}
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

func (s style) paint(text string, color int) string {
	if !s.colored {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", color, text)
}

// colorOf is a component's color, always the same. Red and yellow are left to errors and warnings.
func colorOf(component string) int {
	name, _, _ := strings.Cut(component, "/")
	if known := map[string]int{"apiserver": 34, "scheduler": 35, "controllers": 36}[name]; known != 0 {
		return known
	}
	h := fnv.New32a()
	_, _ = io.WriteString(h, component) // a hash takes everything
	others := []int{32, 92, 94, 95, 96}
	return others[h.Sum32()%uint32(len(others))]
}
