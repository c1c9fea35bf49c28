package logs

import (
	"bytes"
	"fmt"
	"time"
)

// Stream is where a program printed.
type Stream string

const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

// Entry is one line of a log file: a whole printed line, or a piece of one that was too long.
type Entry struct {
	Time    time.Time
	Stream  Stream
	Partial bool   // the next entry of this stream goes on where this one ends
	Text    []byte // without the newline
}

// Parse reads "2026-11-22T21:30:00.123456789Z stdout F text", without its newline. Text aliases line.
func Parse(line []byte) (Entry, error) {
	stamp, rest, ok := bytes.Cut(line, []byte(" "))
	stream, rest, ok2 := bytes.Cut(rest, []byte(" "))
	tags, text, _ := bytes.Cut(rest, []byte(" ")) // an empty text may come without its space
	if !ok || !ok2 {
		return Entry{}, fmt.Errorf("log entry %.40q is not of the form: time stream tag text", line)
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return Entry{}, fmt.Errorf("log entry: %w", err)
	}
	e := Entry{Time: at, Stream: Stream(stream), Text: text}
	if e.Stream != Stdout && e.Stream != Stderr {
		return Entry{}, fmt.Errorf("log entry: stream %.20q is neither stdout nor stderr", stream)
	}
	tag, _, _ := bytes.Cut(tags, []byte(":")) // the format allows more tags, nobody has any
	switch string(tag) {
	case "F":
	case "P":
		e.Partial = true
	default:
		return Entry{}, fmt.Errorf("log entry: tag %.20q is neither F nor P", tag)
	}
	return e, nil
}
