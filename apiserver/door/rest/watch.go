package rest

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

const (
	watchTime = 30 * time.Minute // and up to twice that: how long a watch lasts whose client does not say
	frameTime = 30 * time.Second // for a client to take a batch

	maxBookmarks = 10 // a second
)

// watch tells of changes until its time is over, its client or the server goes, or the Service ends it (then with an ERROR event).
func (s *Server) watch(c *call, o selected) error {
	lasts := time.Duration(float64(watchTime) * (1 + rand.Float64()))
	if o.TimeoutSeconds != nil && *o.TimeoutSeconds > 0 {
		lasts = time.Duration(*o.TimeoutSeconds) * time.Second
	}
	ctx, cancel := context.WithTimeout(c.ctx, lasts)
	defer cancel()
	wo := api.WatchOptions{Selector: o.labels, Fields: o.fields, After: o.revision}
	if o.initial {
		wo.After, wo.Initial, wo.NotOlderThan = 0, true, o.revision
	}
	batches, err := s.Service.Watch(ctx, c.Target, wo)
	if err != nil {
		return err
	}
	media := c.media
	if media == mediaProto {
		media += ";stream=watch"
	}
	out := begin(c.w, media)
	if out.send(nil) != nil {
		return nil
	}
	for batch, ended := range batches {
		frames, err := s.frames(c, o, batch)
		if err = cmp.Or(ended, err); err != nil {
			frames = append(frames, c.lastFrame(err)...)
		}
		if out.send(frames) != nil || err != nil {
			return nil
		}
	}
	return nil
}

// frames encodes a batch.
func (s *Server) frames(c *call, o selected, batch []api.Event) (all []byte, err error) {
	for _, e := range batch {
		if e.Type == api.Bookmark {
			if !o.AllowWatchBookmarks || !e.InitialEnd && c.crowded(time.Now()) {
				continue
			}
			if e.Object, err = bookmark(c.Target, e); err != nil {
				return all, err
			}
		}
		object, err := s.one(c.format, c.Target, e.Object)
		if err == nil {
			object, err = c.frame(e.Type, object)
		}
		if err != nil {
			return all, err
		}
		all, c.headless = append(all, object...), true
	}
	return all, nil
}

// crowded reports that this second has had bookmarks enough: whoever asks for the newest state makes all watches tell one.
func (c *call) crowded(now time.Time) bool {
	if now.Sub(c.second) > time.Second {
		c.second, c.bookmarks = now, 0
	}
	c.bookmarks++
	return c.bookmarks > maxBookmarks
}

// bookmark is an empty object that carries a revision.
func bookmark(t api.Target, e api.Event) (api.Object, error) {
	o, err := t.Kind.New(t.Version)
	if err != nil {
		return nil, err
	}
	o.SetResourceVersion(e.Revision.String())
	if e.InitialEnd {
		o.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	return o, nil
}

// lastFrame tells why there is no more.
func (c *call) lastFrame(err error) []byte {
	st := status(err)
	object, err := c.bytes(&st)
	if err == nil {
		object, err = c.frame("ERROR", object)
	}
	if err != nil {
		return nil // the client sees the end
	}
	return object
}

// flusher sends piece after piece to a client who must not take too long over any.
type flusher struct {
	http.ResponseWriter
	*http.ResponseController
}

// begin lifts the time limits of an ordinary request, and sends the header.
func begin(w http.ResponseWriter, media string) flusher {
	f := flusher{w, http.NewResponseController(w)}
	w.Header().Set("Content-Type", media)
	_ = f.SetReadDeadline(time.Time{}) // who cannot has none
	w.WriteHeader(http.StatusOK)
	return f
}

// send sends a piece, or what has not left yet.
func (f flusher) send(data []byte) error {
	_ = f.SetWriteDeadline(time.Now().Add(frameTime))
	if _, err := f.Write(data); err != nil {
		return err
	}
	err := f.Flush()
	_ = f.SetWriteDeadline(time.Time{})
	return err
}
