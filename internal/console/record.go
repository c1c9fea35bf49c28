package console

import (
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Record is a line of a log, taken apart.
type Record struct {
	Time    time.Time
	Level   slog.Level
	Message string
	Attrs   []Pair
}

// Pair is a key with its value.
type Pair struct{ Key, Value string }

// Get returns the value of a key, "" without it.
func (r Record) Get(key string) string {
	for _, p := range r.Attrs {
		if p.Key == key {
			return p.Value
		}
	}
	return ""
}

// Acted reports whether the line is an Act's.
func (r Record) Acted() bool { return r.Message == acted && r.Get("step") != "" }

// Parse takes a line apart that New's logger has written; false if it is none.
func Parse(line string) (r Record, ok bool) {
	line = strings.TrimSuffix(line, "\n")
	for line != "" {
		var p Pair
		if p.Key, line, ok = token(line, "="); !ok {
			return Record{}, false
		}
		if p.Value, line, ok = token(line, " "); !ok {
			return Record{}, false
		}
		r.Attrs = append(r.Attrs, p)
	}
	if len(r.Attrs) < 3 || r.Attrs[0].Key != slog.TimeKey || r.Attrs[1].Key != slog.LevelKey || r.Attrs[2].Key != slog.MessageKey {
		return Record{}, false
	}
	var err error
	r.Time, err = time.Parse(time.RFC3339Nano, r.Attrs[0].Value)
	if err == nil {
		err = r.Level.UnmarshalText([]byte(r.Attrs[1].Value))
	}
	r.Message, r.Attrs = r.Attrs[2].Value, r.Attrs[3:]
	return r, err == nil
}

// token cuts a word, quoted or not, off a line, and what separates it from the next.
func token(line, separator string) (word, rest string, ok bool) {
	if !strings.HasPrefix(line, `"`) {
		word, rest, ok = strings.Cut(line, separator)
		return word, rest, ok || separator == " "
	}
	quoted, err := strconv.QuotedPrefix(line)
	if err != nil {
		return "", "", false
	}
	word, err = strconv.Unquote(quoted)
	rest, ok = strings.CutPrefix(line[len(quoted):], separator)
	return word, rest, err == nil && (ok || rest == "" && separator == " ")
}
