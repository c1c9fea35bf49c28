package apitest

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"

	"optimist/internal/api"
)

// Detector is a Service that remembers what it has handed out, so that a test can find who changed what was only to be read (law 12).
type Detector struct {
	api.Service

	mu     sync.Mutex
	issued map[api.Object][]byte
}

// Detect wraps a service; the test fails at its end if any object that came from it has been changed.
func Detect(t testing.TB, s api.Service) *Detector {
	d := &Detector{Service: s, issued: map[api.Object][]byte{}}
	t.Cleanup(func() {
		for _, what := range d.Changed() {
			t.Error(what)
		}
	})
	return d
}

// Changed names the objects that are no longer as they were handed out.
func (d *Detector) Changed() (all []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for o, was := range d.issued {
		if is, err := api.Marshal(o); err != nil || !bytes.Equal(is, was) {
			all = append(all, fmt.Sprintf("%T %s, as of revision %s, was changed by somebody who should have copied it", o, api.KeyOf(o), o.GetResourceVersion()))
		}
	}
	return all
}

func (d *Detector) note(objects ...api.Object) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range objects {
		if o == nil || d.issued[o] != nil {
			continue
		}
		if b, err := api.Marshal(o); err == nil {
			d.issued[o] = b
		}
	}
}

func (d *Detector) Get(ctx context.Context, t api.Target, o api.GetOptions) (api.Result, error) {
	res, err := d.Service.Get(ctx, t, o)
	d.note(res.Object)
	return res, err
}

func (d *Detector) List(ctx context.Context, t api.Target, o api.ListOptions) (api.List, error) {
	l, err := d.Service.List(ctx, t, o)
	d.note(l.Items...)
	return l, err
}

func (d *Detector) Write(ctx context.Context, r api.Request) (api.Result, error) {
	res, err := d.Service.Write(ctx, r)
	d.note(res.Object)
	return res, err
}

func (d *Detector) Watch(ctx context.Context, t api.Target, o api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	batches, err := d.Service.Watch(ctx, t, o)
	if err != nil {
		return nil, err
	}
	return func(yield func([]api.Event, error) bool) {
		for batch, err := range batches {
			for _, e := range batch {
				d.note(e.Object)
			}
			if !yield(batch, err) {
				return
			}
		}
	}, nil
}
