package logs

import (
	"errors"
	"io"
	"time"
)

// errFull ends a read at its LimitBytes.
var errFull = errors.New("limit reached")

// printer turns entries back into what the program printed.
type printer struct {
	options Options
	out     map[Stream]io.Writer
	within  map[Stream]bool // in the middle of a long line
	left    int64           // of LimitBytes
	buffer  []byte
}

func (p *printer) print(e Entry) error {
	begins := !p.within[e.Stream]
	p.within[e.Stream] = e.Partial
	if e.Time.Before(p.options.Since) || p.options.Stream != "" && e.Stream != p.options.Stream {
		return nil
	}
	b := p.buffer[:0]
	if begins && p.options.Timestamps {
		b = append(e.Time.AppendFormat(b, time.RFC3339Nano), ' ')
	}
	b = append(b, e.Text...)
	if !e.Partial {
		b = append(b, '\n')
	}
	p.buffer = b
	return p.write(p.out[e.Stream], b)
}

func (p *printer) write(w io.Writer, b []byte) error {
	full := false
	if p.options.LimitBytes != nil {
		full = int64(len(b)) >= p.left
		b = b[:min(int64(len(b)), p.left)]
		p.left -= int64(len(b))
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	if full {
		return errFull
	}
	return nil
}
