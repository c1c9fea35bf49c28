package wire

import (
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"optimist/internal/api"
	"optimist/proto"
)

// EncodeTarget and DecodeTarget translate what a request is about.
func EncodeTarget(t api.Target) *proto.Target {
	return &proto.Target{Group: t.Kind.Group, Kind: t.Kind.Name, Version: t.Version, Namespace: t.Key.Namespace, Name: t.Key.Name, Sub: t.Sub}
}

// DecodeTarget fails with NotFound for a kind that the catalogue does not have.
func DecodeTarget(c *api.Catalogue, p *proto.Target) (api.Target, error) {
	gk := schema.GroupKind{Group: p.GetGroup(), Kind: p.GetKind()}
	k := c.Kind(gk)
	if k == nil {
		return api.Target{}, unknownKind(gk)
	}
	return api.Target{Kind: k, Version: p.Version, Key: api.Key{Namespace: p.Namespace, Name: p.Name}, Sub: p.Sub}, nil
}

func unknownKind(gk schema.GroupKind) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
		Details: &metav1.StatusDetails{Group: gk.Group, Kind: gk.Kind},
		Message: fmt.Sprintf("the server does not know the kind %q", gk),
	}}
}

// Both match nothing. A selector that does so by its nature prints itself as "", which would select everything.
const (
	noLabels = "none,!none"
	noFields = "metadata.name=none,metadata.name!=none"
)

type selector interface {
	Empty() bool
	String() string
}

func encodeSelector(s selector, nothing string) string {
	if s == nil || s.Empty() {
		return ""
	}
	if text := s.String(); text != "" {
		return text
	}
	return nothing
}

func encodeSelectors(l labels.Selector, f fields.Selector) (string, string) {
	return encodeSelector(l, noLabels), encodeSelector(f, noFields)
}

func decodeSelectors(l, f string) (ls labels.Selector, fs fields.Selector, err error) {
	if l != "" {
		if ls, err = labels.Parse(l); err != nil {
			return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("labelSelector: %v", err))
		}
	}
	if f != "" {
		if fs, err = fields.ParseSelector(f); err != nil {
			return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("fieldSelector: %v", err))
		}
	}
	return ls, fs, nil
}

// EncodeListOptions and DecodeListOptions translate what a list selects.
func EncodeListOptions(o api.ListOptions) *proto.ListOptions {
	l, f := encodeSelectors(o.Selector, o.Fields)
	return &proto.ListOptions{Selector: l, Fields: f, Limit: o.Limit, Continue: o.Continue, At: int64(o.At), View: string(o.View)}
}

// DecodeListOptions fails with BadRequest for selectors that cannot be read.
func DecodeListOptions(p *proto.ListOptions) (api.ListOptions, error) {
	l, f, err := decodeSelectors(p.GetSelector(), p.GetFields())
	return api.ListOptions{Selector: l, Fields: f, Limit: p.GetLimit(), Continue: p.GetContinue(),
		At: api.Revision(p.GetAt()), View: api.View(p.GetView())}, err
}

// EncodeWatch and DecodeWatch translate a watch request.
func EncodeWatch(t api.Target, o api.WatchOptions) *proto.WatchRequest {
	l, f := encodeSelectors(o.Selector, o.Fields)
	return &proto.WatchRequest{Target: EncodeTarget(t), Selector: l, Fields: f, After: int64(o.After), Initial: o.Initial,
		NotOlderThan: int64(o.NotOlderThan), View: string(o.View)}
}

// DecodeWatch fails like DecodeTarget and DecodeListOptions.
func DecodeWatch(c *api.Catalogue, p *proto.WatchRequest) (api.Target, api.WatchOptions, error) {
	t, err := DecodeTarget(c, p.Target)
	if err != nil {
		return t, api.WatchOptions{}, err
	}
	l, f, err := decodeSelectors(p.Selector, p.Fields)
	return t, api.WatchOptions{Selector: l, Fields: f, After: api.Revision(p.After), Initial: p.Initial,
		NotOlderThan: api.Revision(p.NotOlderThan), View: api.View(p.View)}, err
}
