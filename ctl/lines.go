package ctl

import (
	"bytes"
	"io"
	"sync"
)

// lines hands whole lines on, each changed by a function.
type lines struct {
	out  io.Writer
	each func(line []byte) []byte
	rest []byte
}

func (l *lines) Write(data []byte) (int, error) {
	l.rest = append(l.rest, data...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 {
			return len(data), nil
		}
		if _, err := l.out.Write(l.each(l.rest[:end+1])); err != nil {
			return 0, err
		}
		l.rest = l.rest[end+1:]
	}
}

// shared lets several goroutines write to one output.
type shared struct {
	mu  sync.Mutex
	out io.Writer
}

func (s *shared) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(data)
}

var levels = []struct{ text, code string }{
	{"level=ERROR", "\x1b[31m"}, {"level=WARN", "\x1b[33m"}, {"level=DEBUG", "\x1b[90m"}, {"level=INFO", "\x1b[32m"},
}

// colour paints the level of a line that slog wrote.
func colour(line []byte) []byte {
	for _, l := range levels {
		if text := []byte(l.text); bytes.Contains(line, text) {
			return bytes.Replace(line, text, []byte(l.code+l.text+"\x1b[0m"), 1)
		}
	}
	return line
}
