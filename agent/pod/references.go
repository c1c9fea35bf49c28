package pod

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
)

const (
	freshFor = 10 * time.Second
	maxKept  = 256
)

// References reads the ConfigMaps and Secrets that pods name, when they are needed, and keeps them for a moment: a hundred pods of one
// Deployment ask once.
type References struct {
	service api.Service

	mu   sync.Mutex
	kept map[reference]keptObject
}

type reference struct {
	plural string
	key    api.Key
}

type keptObject struct {
	object api.Object
	until  time.Time
}

// NewReferences reads through a service.
func NewReferences(s api.Service) *References {
	return &References{service: s, kept: map[reference]keptObject{}}
}

// Secret reads a Secret.
func (r *References) Secret(ctx context.Context, key api.Key) (*corev1.Secret, error) {
	return fetch(ctx, r, api.Secrets, key)
}

func fetch[T api.Object](ctx context.Context, r *References, of api.Of[T], key api.Key) (T, error) {
	ref := reference{of.Kind.Plural, key}
	r.mu.Lock()
	k, ok := r.kept[ref]
	r.mu.Unlock()
	if ok && time.Now().Before(k.until) {
		return k.object.(T), nil
	}
	o, err := of.Get(ctx, r.service, key)
	if err != nil {
		return o, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) >= maxKept {
		clear(r.kept)
	}
	r.kept[ref] = keptObject{o, time.Now().Add(freshFor)}
	return o, nil
}

func (r *References) configMap(ctx context.Context, key api.Key) (map[string]string, error) {
	c, err := fetch(ctx, r, api.ConfigMaps, key)
	if err != nil {
		return nil, err
	}
	data := map[string]string{}
	for k, v := range c.Data {
		data[k] = v
	}
	for k, v := range c.BinaryData {
		data[k] = string(v)
	}
	return data, nil
}

func (r *References) secret(ctx context.Context, key api.Key) (map[string]string, error) {
	s, err := r.Secret(ctx, key)
	if err != nil {
		return nil, err
	}
	data := map[string]string{}
	for k, v := range s.Data {
		data[k] = string(v)
	}
	return data, nil
}
