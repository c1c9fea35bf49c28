package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// script is what a simulated container does with its life.
type script struct {
	startAfter time.Duration
	ends       bool // by itself
	after      time.Duration
	code       int
	print      []string
	oom        bool
	ignoreTerm bool
}

// words is the table of doc.go.
var words = map[string]func(s *script, value string) error{
	"sim:start-after": func(s *script, v string) (err error) { s.startAfter, err = time.ParseDuration(v); return },
	"sim:exit":        func(s *script, v string) (err error) { s.ends = true; s.code, err = strconv.Atoi(v); return },
	"sim:after":       func(s *script, v string) (err error) { s.ends = true; s.after, err = time.ParseDuration(v); return },
	"sim:crash-every": func(s *script, v string) (err error) {
		s.ends, s.code = true, 1
		s.after, err = time.ParseDuration(v)
		return
	},
	"sim:print":       func(s *script, v string) error { s.print = append(s.print, v); return nil },
	"sim:oom":         func(s *script, _ string) error { s.ends, s.oom = true, true; return nil },
	"sim:ignore-term": func(s *script, _ string) error { s.ignoreTerm = true; return nil },
}

// parse reads the words of a command line; what does not begin with "sim:" means nothing here.
func parse(line []string) (s script, err error) {
	for _, word := range line {
		name, value, _ := strings.Cut(word, "=")
		if !strings.HasPrefix(name, "sim:") {
			continue
		}
		set := words[name]
		if set == nil {
			return s, fmt.Errorf("%q is not among the words that a simulated container knows", word)
		}
		if err := set(&s, value); err != nil {
			return s, fmt.Errorf("%q: %w", word, err)
		}
	}
	return s, nil
}

// repository strips tag and digest from an image's name.
func repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	return ref
}
