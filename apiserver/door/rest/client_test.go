package rest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"optimist/apiserver/door/rest"
	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

var discard = slog.New(slog.DiscardHandler)

// records is a registry over memory.
func records(t testing.TB) *registry.Registry {
	t.Helper()
	r, err := registry.New(memory.New(), registry.Options{Rules: kinds.All(), Log: discard,
		Ranges: registry.Ranges{ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), NodeBits: 24, ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// config is a door in front of a service for anybody.
func config(svc api.Service) rest.Config {
	c := rest.Config{Service: svc, Catalogue: api.Builtin, Log: discard,
		Identify: func(_ context.Context, _ tls.ConnectionState, token string, _ net.Addr) (api.User, error) {
			if token == "wrong" {
				return api.User{}, apierrors.NewUnauthorized("Unauthorized")
			}
			return api.User{Name: "admin", Groups: []string{api.GroupMasters}}, nil
		}}
	if r, ok := svc.(*registry.Registry); ok {
		c.Table = r.Table
	}
	return c
}

// serve opens a door without a wall: plain HTTP.
func serve(t testing.TB, c rest.Config) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(rest.New(c))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func TestService(t *testing.T) {
	for _, media := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		t.Run(strings.TrimPrefix(media, "application/"), func(t *testing.T) {
			apitest.Run(t, func(t *testing.T) api.Service {
				if strings.Contains(t.Name(), "fence") || strings.Contains(t.Name(), "epochs") {
					t.Skip("fences are the native wire's")
				}
				r := records(t)
				return client{Service: r, url: serve(t, config(r)).URL, media: media}
			})
		})
	}
}

// client is a Service over REST; what REST does not have (Now, Connect) it asks the Service itself.
type client struct {
	api.Service
	url, media string
}

func (c client) path(t api.Target) string {
	gv := t.Kind.GVK(t.Version).GroupVersion()
	words := []string{c.url, "apis", gv.Group, gv.Version}
	if gv.Group == "" {
		words = []string{c.url, "api", gv.Version}
	}
	if t.Key.Namespace != "" {
		words = append(words, "namespaces", t.Key.Namespace)
	}
	for _, w := range []string{t.Kind.Plural, t.Key.Name, t.Sub} {
		if w != "" {
			words = append(words, w)
		}
	}
	return strings.Join(words, "/")
}

// do sends a request and returns its answer, or the API error that it is.
func (c client) do(ctx context.Context, method, path string, q url.Values, media, accept string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, path+"?"+q.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	st := &apierrors.StatusError{}
	if err := c.into(data, &st.ErrStatus); err != nil {
		return nil, fmt.Errorf("%s %s: %s: %q: %w", method, path, res.Status, data, err)
	}
	return nil, st
}

// into decodes what the server has encoded.
func (c client) into(data []byte, o any) error {
	raw, ok := bytes.CutPrefix(data, []byte("k8s\x00"))
	if !ok {
		return json.Unmarshal(data, o)
	}
	var u runtime.Unknown
	if err := u.Unmarshal(raw); err != nil {
		return err
	}
	if o, ok := o.(runtime.Object); ok {
		o.GetObjectKind().SetGroupVersionKind(u.GroupVersionKind())
	}
	return o.(interface{ Unmarshal([]byte) error }).Unmarshal(u.Raw)
}

func fresh(t api.Target) api.Object {
	if t.Sub == "scale" {
		return &autoscalingv1.Scale{}
	}
	o, err := t.Kind.New(t.Version)
	if err != nil {
		panic(err)
	}
	return o
}

// object reads an answer; a Status of success is no object.
func (c client) object(t api.Target, res *http.Response) (r api.Result, err error) {
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return r, err
	}
	for _, w := range res.Header.Values("Warning") {
		text, err := strconv.Unquote(strings.TrimPrefix(w, "299 - "))
		if err != nil {
			return r, fmt.Errorf("warning %q: %w", w, err)
		}
		r.Warnings = append(r.Warnings, text)
	}
	if bytes.Contains(data[:min(len(data), 40)], []byte("Status")) {
		return r, nil
	}
	o := fresh(t)
	if err := c.into(data, o); err != nil {
		return r, err
	}
	r.Object, r.Revision = o, api.RevisionOf(o)
	return r, nil
}

func (c client) Get(ctx context.Context, t api.Target, o api.GetOptions) (api.Result, error) {
	q := url.Values{"resourceVersion": {o.NotOlderThan.String()}}
	if o.At != 0 {
		q = url.Values{"resourceVersion": {o.At.String()}, "resourceVersionMatch": {"Exact"}}
	}
	res, err := c.do(ctx, "GET", c.path(t), q, "", c.media, nil)
	if err != nil {
		return api.Result{}, err
	}
	return c.object(t, res)
}

func selectors(o api.ListOptions) url.Values {
	q := url.Values{}
	if o.Selector != nil && !o.Selector.Empty() {
		q.Set("labelSelector", o.Selector.String())
	}
	if o.Fields != nil && !o.Fields.Empty() {
		q.Set("fieldSelector", o.Fields.String())
	}
	return q
}

// table is one or more rows with their objects.
func (c client) table(t api.Target, data []byte) (l api.List, err error) {
	var table metav1.Table
	if err := json.Unmarshal(data, &table); err != nil {
		return l, err
	}
	l.Columns, l.Revision, l.Continue = table.ColumnDefinitions, revisionOf(table.ListMeta), table.Continue
	for _, row := range table.Rows {
		o := fresh(t)
		if err := json.Unmarshal(row.Object.Raw, o); err != nil {
			return l, err
		}
		l.Items, l.Rows = append(l.Items, o), append(l.Rows, row.Cells)
	}
	return l, nil
}

func revisionOf(m metav1.ListMeta) api.Revision {
	r, err := api.ParseRevision(m.ResourceVersion)
	if err != nil {
		panic(err)
	}
	return r
}

const asTable = "application/json;as=Table;v=v1;g=meta.k8s.io"

func (c client) List(ctx context.Context, t api.Target, o api.ListOptions) (l api.List, err error) {
	q, accept := selectors(o), c.media
	q.Set("limit", strconv.FormatInt(o.Limit, 10))
	q.Set("continue", o.Continue)
	if o.At != 0 {
		q.Set("resourceVersion", o.At.String())
		q.Set("resourceVersionMatch", "Exact")
	}
	if o.View == api.Table {
		q.Set("includeObject", "Object")
		accept = asTable
	}
	res, err := c.do(ctx, "GET", c.path(t), q, "", accept, nil)
	if err != nil {
		return l, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return l, err
	}
	if o.View == api.Table {
		return c.table(t, data)
	}
	if c.media == "application/json" {
		var list struct {
			metav1.ListMeta `json:"metadata"`
			Items           []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(data, &list); err != nil {
			return l, err
		}
		l.Revision, l.Continue = revisionOf(list.ListMeta), list.Continue
		for _, raw := range list.Items {
			o := fresh(t)
			if err := json.Unmarshal(raw, o); err != nil {
				return l, err
			}
			l.Items = append(l.Items, o)
		}
		return l, nil
	}
	return l, c.protoList(t, data, &l)
}

func (c client) protoList(t api.Target, data []byte, l *api.List) error {
	list := lists[t.Kind.Name]()
	if err := c.into(data, list); err != nil {
		return err
	}
	m := list.(metav1.ListMetaAccessor).GetListMeta()
	l.Continue = m.GetContinue()
	l.Revision, _ = api.ParseRevision(m.GetResourceVersion())
	return eachItem(list, func(o api.Object) {
		o.GetObjectKind().SetGroupVersionKind(t.Kind.GVK(t.Version))
		l.Items = append(l.Items, o)
	})
}

func (c client) Watch(ctx context.Context, t api.Target, o api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	q, accept := selectors(api.ListOptions{Selector: o.Selector, Fields: o.Fields}), c.media
	q.Set("watch", "true")
	q.Set("allowWatchBookmarks", "true")
	q.Set("resourceVersion", o.After.String())
	if o.Initial {
		q.Set("sendInitialEvents", "true")
		q.Set("resourceVersionMatch", "NotOlderThan")
		q.Set("resourceVersion", o.NotOlderThan.String())
	}
	if o.View == api.Table {
		q.Set("includeObject", "Object")
		accept = asTable
	}
	res, err := c.do(ctx, "GET", c.path(t), q, "", accept, nil)
	if err != nil {
		return nil, err
	}
	return func(yield func([]api.Event, error) bool) {
		defer res.Body.Close()
		for in := bufio.NewReader(res.Body); ; {
			e, err := c.event(t, o, in)
			if !yield([]api.Event{e}, err) || err != nil {
				return
			}
		}
	}, nil
}

// event reads a frame.
func (c client) event(t api.Target, o api.WatchOptions, in *bufio.Reader) (e api.Event, err error) {
	var w metav1.WatchEvent
	if c.media == "application/json" || o.View == api.Table {
		line, err := in.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &w)
		}
		if err != nil {
			return e, err
		}
	} else {
		var size uint32
		if err := binary.Read(in, binary.BigEndian, &size); err != nil {
			return e, err
		}
		frame := make([]byte, size)
		if _, err := io.ReadFull(in, frame); err != nil {
			return e, err
		}
		if err := w.Unmarshal(frame); err != nil {
			return e, err
		}
	}
	if w.Type == "ERROR" {
		st := &apierrors.StatusError{}
		if err := c.into(w.Object.Raw, &st.ErrStatus); err != nil {
			return e, err
		}
		return e, st
	}
	e.Type, e.Object = api.EventType(w.Type), fresh(t)
	if o.View == api.Table {
		l, err := c.table(t, w.Object.Raw)
		if err != nil {
			return e, err
		}
		e.Object, e.Cells = l.Items[0], l.Rows[0]
	} else if err := c.into(w.Object.Raw, e.Object); err != nil {
		return e, err
	}
	e.Revision = api.RevisionOf(e.Object)
	if e.Type == api.Bookmark {
		e.InitialEnd = e.Object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
		e.Object = nil
	}
	return e, nil
}

func (c client) Write(ctx context.Context, r api.Request) (api.Result, error) {
	if r.Verb == api.VerbCreate && r.Kind.Namespaced && r.Key.Namespace == "" {
		return api.Result{}, apierrors.NewBadRequest("an empty namespace may not be set during creation") // as client-go says
	}
	if r.Verb == api.VerbCreate && r.Sub == "" && r.Body != nil && r.Key.Name != r.Body.GetName() {
		return api.Result{}, apierrors.NewBadRequest("the name of the object does not match the name on the URL") // which has none
	}
	q := url.Values{"fieldValidation": {string(r.Validation)}, "fieldManager": {r.Manager}}
	if r.Validation == "" {
		q.Set("fieldValidation", "Strict")
	}
	if r.DryRun {
		q.Set("dryRun", "All")
	}
	if r.Force {
		q.Set("force", "true")
	}
	method, media, body := map[api.Verb]string{api.VerbCreate: "POST", api.VerbUpdate: "PUT", api.VerbPatch: "PATCH", api.VerbDelete: "DELETE",
		api.VerbDeleteCollection: "DELETE"}[r.Verb], c.media, []byte(nil)
	switch {
	case r.Raw != nil:
		media, body = r.Raw.MediaType, r.Raw.Data
	case r.Patch != nil:
		media, body = string(r.Patch.Type), r.Patch.Data
	case r.Body != nil:
		if gvk := r.Body.GetObjectKind(); r.Sub == "binding" {
			gvk.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Binding"})
		} else if gvk.GroupVersionKind().Empty() && r.Sub != "scale" {
			api.Kinded(r.Kind, r.Version, r.Body)
		}
		var err error
		if body, err = c.encode(r.Body); err != nil {
			return api.Result{}, err
		}
	case r.Verb == api.VerbDelete:
		o := metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{Kind: "DeleteOptions", APIVersion: "v1"}, GracePeriodSeconds: r.Grace}
		if r.Propagation != "" {
			o.PropagationPolicy = &r.Propagation
		}
		if r.DryRun {
			o.DryRun = []string{"All"}
		}
		o.Preconditions = &metav1.Preconditions{}
		if r.Pre.UID != "" {
			o.Preconditions.UID = &r.Pre.UID
		}
		if r.Pre.Revision != 0 {
			o.Preconditions.ResourceVersion = new(r.Pre.Revision.String())
		}
		var err error
		if body, err = c.encode(&o); err != nil {
			return api.Result{}, err
		}
	case r.Verb == api.VerbDeleteCollection:
		q, media = selectors(r.Match), ""
	}
	target := r.Target
	if r.Verb == api.VerbCreate && r.Sub == "" {
		target.Key.Name = ""
	}
	res, err := c.do(ctx, method, c.path(target), q, media, c.media, body)
	if err != nil {
		return api.Result{}, err
	}
	result, err := c.object(r.Target, res)
	result.Created = r.Verb == api.VerbPatch && res.StatusCode == http.StatusCreated
	return result, err
}

func (c client) encode(o any) ([]byte, error) {
	if c.media == "application/json" {
		return json.Marshal(o)
	}
	raw, err := o.(interface{ Marshal() ([]byte, error) }).Marshal()
	if err != nil {
		return nil, err
	}
	gvk := o.(runtime.Object).GetObjectKind().GroupVersionKind()
	u := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind}, Raw: raw}
	data, err := u.Marshal()
	return append([]byte("k8s\x00"), data...), err
}
