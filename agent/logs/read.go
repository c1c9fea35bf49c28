package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// pollEvery is how late a follower may be.
const pollEvery = 100 * time.Millisecond

// Options are those of Kubernetes' PodLogOptions that concern the files.
type Options struct {
	Follow     bool
	Tail       *int64    // only so many of the last entries, of both streams together
	Since      time.Time // only what was printed at or after it
	LimitBytes *int64    // only so many bytes in all
	Timestamps bool      // each line begins with its time
	Stream     Stream    // only this one, "" = both
}

// Read writes the log at path to stdout and stderr, from the oldest rotated file to the newest. With Follow it goes on until done says
// that the container has exited and all is read; done may be nil otherwise.
func Read(ctx context.Context, path string, o Options, stdout, stderr io.Writer, done func() bool) error {
	files, err := start(path, o)
	if err != nil {
		return err
	}
	p := &printer{options: o, out: map[Stream]io.Writer{Stdout: stdout, Stderr: stderr}, within: map[Stream]bool{}}
	if o.LimitBytes != nil {
		p.left = *o.LimitBytes
	}
	r := &reader{path: path, files: files, printer: p}
	defer r.close()
	for {
		ended := !o.Follow || done() // asked before reading: what is written until now will be read
		err := r.drain(ctx)
		if errors.Is(err, errFull) || err == nil && ended {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func start(path string, o Options) ([]*os.File, error) {
	files, err := generations(path)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 && !o.Follow {
		return nil, fmt.Errorf("log %s: %w", path, fs.ErrNotExist)
	}
	if o.Tail == nil {
		return files, nil
	}
	return skipToTail(files, *o.Tail)
}

// reader goes through the files of a log, one after the other.
type reader struct {
	path    string
	at      *cursor    // nil before the first
	files   []*os.File // known to follow
	printer *printer
}

func (r *reader) close() {
	if r.at != nil {
		r.at.file.Close()
	}
	closeAll(r.files)
}

// drain prints all there is. At the end of a file it looks for the next; a rotated file is complete, but may have become so after we
// met its end, so that it is read once more.
func (r *reader) drain(ctx context.Context) error {
	for {
		if err := r.rest(ctx); err != nil {
			return err
		}
		next, err := r.next()
		if err != nil || next == nil {
			return err
		}
		if err := r.rest(ctx); err != nil {
			next.Close()
			return err
		}
		if r.at != nil {
			r.at.file.Close()
		}
		r.at = newCursor(next)
	}
}

// rest prints the current file to its end.
func (r *reader) rest(ctx context.Context) error {
	for r.at != nil {
		line, err := r.at.next()
		if errors.Is(err, io.EOF) {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("log %s: %w", r.path, err)
		}
		entry, err := Parse(line)
		if err != nil {
			continue // not the logger's; a disk that was full leaves such pieces
		}
		if err := r.printer.print(entry); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) next() (*os.File, error) {
	if len(r.files) > 0 {
		f := r.files[0]
		r.files = r.files[1:]
		return f, nil
	}
	if r.at == nil {
		files, err := generations(r.path)
		if err != nil || len(files) == 0 {
			return nil, err
		}
		r.files = files[1:]
		return files[0], nil
	}
	return successor(r.path, r.at.file)
}
