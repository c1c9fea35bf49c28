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
var words = []struct {
	example string
	means   string
	set     func(s *script, value string) error
}{
	{"sim:start-after=2s", "starting takes this long",
		func(s *script, v string) (err error) { s.startAfter, err = time.ParseDuration(v); return err }},
	{"sim:exit=3", "ends with this exit code, at once unless sim:after says when",
		func(s *script, v string) (err error) { s.ends = true; s.code, err = strconv.Atoi(v); return err }},
	{"sim:after=5s", "ends after this long, with exit code 0 unless sim:exit says another",
		func(s *script, v string) (err error) { s.ends = true; s.after, err = time.ParseDuration(v); return err }},
	{"sim:crash-every=10s", "runs this long, then ends with exit code 1",
		func(s *script, v string) (err error) {
			s.ends, s.code = true, 1
			s.after, err = time.ParseDuration(v)
			return err
		}},
	{"sim:print=hello", "prints this line when it starts",
		func(s *script, v string) error { s.print = append(s.print, v); return nil }},
	{"sim:oom", "is killed for want of memory, at once unless sim:after says when",
		func(s *script, _ string) error { s.ends, s.oom = true, true; return nil }},
	{"sim:ignore-term", "does not end at SIGTERM, only at SIGKILL",
		func(s *script, _ string) error { s.ignoreTerm = true; return nil }},
}

// parse reads the words of a command line; what does not begin with "sim:" means nothing here.
func parse(line []string) (script, error) {
	var s script
	for _, word := range line {
		if !strings.HasPrefix(word, "sim:") {
			continue
		}
		if err := s.apply(word); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *script) apply(word string) error {
	name, value, _ := strings.Cut(word, "=")
	for _, w := range words {
		if known, _, _ := strings.Cut(w.example, "="); known != name {
			continue
		}
		if err := w.set(s, value); err != nil {
			return fmt.Errorf("%q is not like %s: %w", word, w.example, err)
		}
		return nil
	}
	return fmt.Errorf("%q is not among the words that a simulated container knows", word)
}

// repository strips tag and digest from an image's name.
func repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	return ref
}
