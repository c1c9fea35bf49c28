package rest_test

import (
	"bufio"
	"context"
	"iter"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/registry"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
)

// open begins a request whose answer is read line by line.
func open(t testing.TB, url, accept string) (*http.Response, func() string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	in := bufio.NewReader(res.Body)
	return res, func() string {
		line, err := in.ReadString('\n')
		if err != nil {
			return err.Error()
		}
		return strings.TrimSuffix(line, "\n")
	}
}

var volatile = regexp.MustCompile(`"(resourceVersion|uid|creationTimestamp|time)":"[^"]*"|"managedFields":\[.*?\}\}\}?\],?`)

func TestWatchesOnTheWire(t *testing.T) {
	url := serve(t, config(records(t))).URL
	ask(t, url, "POST "+maps+"\n\n"+strings.Replace(web, `"web"`, `"old"`, 1))
	for _, row := range []struct {
		why, query, accept string
		want               []string // the beginnings of its lines, after one more object was made
	}{
		{"from nowhere: first what exists", "", "", []string{`{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"old"`, `{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"web"`}},
		{"from anywhere: likewise", "&resourceVersion=0", "", []string{`{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"old"`}},
		{"client-go's informer", "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion=", "",
			[]string{`{"type":"ADDED"`, `{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{X,"annotations":{"k8s.io/initial-events-end":"true"}}}}`, `{"type":"ADDED"`}},
		{"without its bookmarks", "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "", []string{`{"type":"ADDED"`, `{"type":"ADDED"`}},
		{"not what exists", "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", "", []string{`{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"web"`}},
		{"one object", "&fieldSelector=metadata.name%3Dweb", "", []string{`{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"web"`}},
		{"kubectl's", "", tableV1, []string{`{"type":"ADDED","object":{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{X},"columnDefinitions":[{"name":"Name"`, `{"type":"ADDED","object":{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{X},"columnDefinitions":null,"rows":[{"cells":["web",1,`}},
		{"metadata", "", "application/json;as=PartialObjectMetadata" + metaV1, []string{`{"type":"ADDED","object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"old"`}},
	} {
		res, line := open(t, url+maps+"?watch=true&labelSelector=app"+row.query, row.accept)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s: %s %v", row.why, res.Status, res.Header)
		}
		if code, _, body := ask(t, url, "POST "+maps+"\n\n"+web); code != 201 {
			t.Fatal(body)
		}
		for _, want := range row.want {
			if got := volatile.ReplaceAllString(line(), "X"); !strings.HasPrefix(got, want) {
				t.Errorf("%s: got\n%s\nwant\n%s", row.why, got, want)
			}
		}
		ask(t, url, "DELETE "+maps+"/web")
	}
}

func TestAQuietWatchHasHeadersAndAnEnd(t *testing.T) {
	url := serve(t, config(records(t))).URL
	res, line := open(t, url+"/api/v1/secrets?watch=1&resourceVersion=1&timeoutSeconds=1", "application/vnd.kubernetes.protobuf")
	if got := res.Header.Get("Content-Type"); res.StatusCode != 200 || got != "application/vnd.kubernetes.protobuf;stream=watch" {
		t.Fatalf("%s %s", res.Status, got)
	}
	if got := line(); got != "EOF" {
		t.Errorf("it tells %q", got)
	}
}

func TestTheHistoryOfAWatchIsGone(t *testing.T) {
	s := memory.New()
	r, err := registry.New(s, registry.Options{Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	now, err := r.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Compact(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if now <= 3 {
		t.Fatalf("there are only %d revisions", now)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	defer running.Wait()
	defer cancel()
	url := serve(t, config(r)).URL
	code, _, body := ask(t, url, "GET "+maps+"?watch=true&resourceVersion=1")
	if code != 410 || !strings.Contains(body, `"reason":"Expired"`) {
		t.Errorf("%d %s", code, body)
	}
}

// scripted is a service whose watch says what it is told to.
type scripted struct {
	api.Service
	batches []any // []api.Event or error
}

func (s scripted) Watch(context.Context, api.Target, api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	return func(yield func([]api.Event, error) bool) {
		for _, b := range s.batches {
			events, _ := b.([]api.Event)
			err, _ := b.(error)
			if !yield(events, err) {
				return
			}
		}
	}, nil
}

func TestAWatchThatFails(t *testing.T) {
	o := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	url := serve(t, config(scripted{batches: []any{[]api.Event{{Type: api.Added, Object: o}, {Type: api.Bookmark, Revision: 7}}, apierrors.NewResourceExpired("too slow")}})).URL
	_, line := open(t, url+maps+"?watch=true&resourceVersion=5", "")
	for _, want := range []string{`{"type":"ADDED","object":{"kind":"ConfigMap"`, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too slow","reason":"Expired","code":410}}`, "EOF"} {
		if got := line(); !strings.HasPrefix(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestBookmarksAreNotTooMany(t *testing.T) {
	events := make([]api.Event, 1000)
	for n := range events {
		events[n] = api.Event{Type: api.Bookmark, Revision: api.Revision(n + 1)}
	}
	url := serve(t, config(scripted{batches: []any{events, apierrors.NewResourceExpired("enough")}})).URL
	_, line := open(t, url+maps+"?watch=true&resourceVersion=5&allowWatchBookmarks=true", "")
	for n := 0; ; n++ {
		if got := line(); !strings.Contains(got, "BOOKMARK") {
			if n < 10 || n > 20 {
				t.Errorf("there were %d", n)
			}
			return
		}
	}
}

func TestMetadataInProtobuf(t *testing.T) {
	url := serve(t, config(records(t))).URL
	c := client{}
	ask(t, url, "POST "+maps+"\n\n"+web)
	const proto = "\nAccept: application/vnd.kubernetes.protobuf;as=PartialObjectMetadata"
	var one metav1.PartialObjectMetadata
	_, _, body := ask(t, url, "GET "+maps+"/web"+proto+metaV1)
	if err := c.into([]byte(body), &one); err != nil || one.Kind != "PartialObjectMetadata" || one.Labels["app"] != "web" {
		t.Errorf("%v %+v", err, one)
	}
	var many metav1.PartialObjectMetadataList
	_, _, body = ask(t, url, "GET "+maps+proto+"List"+metaV1)
	if err := c.into([]byte(body), &many); err != nil || many.APIVersion != "meta.k8s.io/v1" || len(many.Items) != 1 || many.Items[0].Name != "web" || many.ResourceVersion == "" {
		t.Errorf("%v %+v", err, many)
	}
	_, _, body = ask(t, url, "GET "+maps+"/other\nAccept: application/vnd.kubernetes.protobuf")
	var st metav1.Status
	if err := c.into([]byte(body), &st); err != nil || st.Reason != metav1.StatusReasonNotFound {
		t.Errorf("%v %+v", err, st)
	}
}
