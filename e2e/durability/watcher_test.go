package durability

import (
	"context"
	"fmt"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
)

// watcher follows some of the ConfigMaps; when the server comes back it goes on after the last revision that it was told.
type watcher struct {
	name    string
	options api.WatchOptions
	wants   func(name string) bool
	logbook *logbook
	heard   []api.Revision // since the last round
}

func watchers(l *logbook) []*watcher {
	all := func(string) bool { return true }
	return []*watcher{
		{name: "of everything", wants: all, logbook: l},
		{name: "of everything, too", wants: all, logbook: l},
		{name: "of one writer's", wants: func(n string) bool { return n[:len("w1-")] == "w1-" }, logbook: l,
			options: api.WatchOptions{Selector: labels.SelectorFromSet(labels.Set{labelWriter: "w1"})}},
		{name: "of one", wants: func(n string) bool { return n == "w2-1" }, logbook: l,
			options: api.WatchOptions{Fields: fields.OneTermEqualSelector("metadata.name", "w2-1")}},
	}
}

// run follows until the server is gone, or only until it knows all that has happened.
func (w *watcher) run(ctx context.Context, s api.Service, catchUp bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	target := api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: namespace}}
	batches, err := s.Watch(ctx, target, w.options)
	if err != nil {
		return w.broke(err, catchUp)
	}
	to := api.Revision(math.MaxInt64)
	if catchUp {
		if to, err = s.Now(ctx); err != nil || w.options.After == to {
			return err
		}
	}
	for batch, err := range batches {
		if err != nil {
			return w.broke(err, catchUp)
		}
		for _, e := range batch {
			if err := w.hear(e); err != nil {
				return err
			}
		}
		if w.options.After >= to {
			return nil
		}
	}
	return nil
}

// broke: only when the server is to be killed may a watch break, and never may it be told to list again.
func (w *watcher) broke(err error, catchUp bool) error {
	if !catchUp && apierrors.IsServiceUnavailable(err) {
		return nil
	}
	return fmt.Errorf("the watch %s after %d: %w", w.name, w.options.After, err)
}

func (w *watcher) hear(e api.Event) error {
	after := w.options.After
	if e.Revision < after || e.Revision == after && e.Type != api.Bookmark {
		return fmt.Errorf("the watch %s was told %s of revision %d, after %d", w.name, e.Type, e.Revision, after)
	}
	w.options.After = e.Revision
	if e.Type == api.Bookmark || e.Object.GetName() == published {
		return nil
	}
	c := e.Object.(*corev1.ConfigMap)
	what := told{c.Name, c.Data[dataText]}
	if e.Type == api.Deleted {
		what.text = ""
	}
	w.heard = append(w.heard, e.Revision)
	return w.logbook.saw(e.Revision, what)
}

// compare checks that the watcher was told all that concerns it of what has happened, and nothing else.
func (w *watcher) compare(happened []api.Revision) error {
	var want []api.Revision
	for _, r := range happened {
		if w.wants(w.logbook.history[r].name) {
			want = append(want, r)
		}
	}
	heard := w.heard
	w.heard = nil
	if slices.Equal(heard, want) {
		return nil
	}
	return fmt.Errorf("the watch %s was told of %v; these have happened: %v", w.name, heard, want)
}
