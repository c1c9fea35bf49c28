package logs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"time"

	"optimist/agent/runtime"
	"optimist/internal/wake"
)

const (
	pollEvery    = 100 * time.Millisecond // how late a follower may be
	longestEntry = 1 << 20                // the logger cuts at 16 KiB: anything near this is not an entry
)

// Lines reads the log at path, from the oldest rotated file (or the last lines, if there is a tail) to the newest. With follow it goes on
// until done says that the container has exited and all is read; done may be nil otherwise.
func Lines(ctx context.Context, path string, last *int64, follow bool, done func() bool) iter.Seq2[runtime.Line, error] {
	return func(yield func(runtime.Line, error) bool) {
		r := &reader{path: path}
		defer func() { r.file.Close() }() // of no file: an error that nobody asks for
		err := r.start(last)
		for ended := !follow; err == nil; {
			finished := ended // asked before reading, and once more a moment later: the logger writes after its container what that has said last
			ended = ended || done()
			var goOn bool
			if goOn, err = r.drain(ctx, yield); !goOn {
				return
			}
			if err == nil && finished && r.file == nil {
				err = fmt.Errorf("log %s: %w", path, fs.ErrNotExist)
			}
			if err != nil || finished {
				break
			}
			err = wake.After(ctx, pollEvery, nil)
		}
		if err != nil {
			yield(runtime.Line{}, err)
		}
	}
}

// reader goes through the files of a log, one after the other.
type reader struct {
	path string
	file *os.File // nil before the first
	in   *bufio.Reader
	part []byte // of a line that is still being written
}

func (r *reader) start(last *int64) error {
	if last == nil {
		return nil
	}
	f, err := tail(r.path, *last)
	if f != nil {
		r.open(f)
	}
	return err
}

func (r *reader) open(f *os.File) {
	r.file.Close()
	r.file, r.in, r.part = f, bufio.NewReaderSize(f, 32<<10), nil
}

// drain yields all there is. It looks for a successor first: a file that has one is complete, and read to its end after that look.
func (r *reader) drain(ctx context.Context, yield func(runtime.Line, error) bool) (goOn bool, err error) {
	for ctx.Err() == nil {
		next, err := successor(r.path, r.file)
		if err != nil {
			return true, err
		}
		for r.file != nil {
			line, err := r.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return true, errors.Join(fmt.Errorf("log %s: %w", r.path, err), next.Close())
			}
			if entry, err := Parse(line); err == nil && !yield(entry, nil) { // else not the logger's; a disk that was full leaves such pieces
				next.Close()
				return false, nil
			}
		}
		if next == nil {
			return true, nil
		}
		r.open(next)
	}
	return true, ctx.Err()
}

// next returns a line without its newline, or io.EOF; later there may be more.
func (r *reader) next() (string, error) {
	for {
		piece, err := r.in.ReadSlice('\n')
		r.part = append(r.part, piece...)
		switch {
		case err == nil:
			line := string(r.part[:len(r.part)-1])
			r.part = r.part[:0]
			return line, nil
		case len(r.part) > longestEntry:
			r.part = r.part[:0]
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}

// Parse reads "2026-11-22T21:30:00.123456789Z stdout F text", without its newline.
func Parse(line string) (runtime.Line, error) {
	words := append(strings.SplitN(line, " ", 4), "") // an empty text may come without its space
	if len(words) >= 4 {
		at, err := time.Parse(time.RFC3339Nano, words[0])
		tag, _, _ := strings.Cut(words[2], ":") // the format allows more tags, nobody has any
		if err == nil && (words[1] == "stdout" || words[1] == "stderr") && (tag == "F" || tag == "P") {
			return runtime.Line{Time: at, Stderr: words[1] == "stderr", Partial: tag == "P", Text: words[3]}, nil
		}
	}
	return runtime.Line{}, fmt.Errorf("log entry %.40q is not of the form: time stream tag text", line)
}

// Options are those of Kubernetes' PodLogOptions that concern what is printed.
type Options struct {
	Since      time.Time // only what was printed at or after it
	LimitBytes *int64    // only so many bytes in all
	Timestamps bool      // each line begins with its time
}

// Print turns lines back into what the program printed.
func Print(lines iter.Seq2[runtime.Line, error], o Options, stdout, stderr io.Writer) error {
	out := map[bool]io.Writer{false: stdout, true: stderr}
	within := map[bool]bool{} // in the middle of a long line
	var printed int64
	for line, err := range lines {
		if err != nil {
			return err
		}
		begins := !within[line.Stderr]
		within[line.Stderr] = line.Partial
		if line.Time.Before(o.Since) {
			continue
		}
		text := line.Text
		if begins && o.Timestamps {
			text = line.Time.UTC().Format(time.RFC3339Nano) + " " + text
		}
		if !line.Partial {
			text += "\n"
		}
		if printed += int64(len(text)); o.LimitBytes != nil && printed > *o.LimitBytes {
			text = text[:int64(len(text))-(printed-*o.LimitBytes)]
		}
		if _, err := io.WriteString(out[line.Stderr], text); err != nil {
			return err
		}
		if o.LimitBytes != nil && printed >= *o.LimitBytes {
			return nil
		}
	}
	return nil
}
