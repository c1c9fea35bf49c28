package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
)

// over is a registry and the journal of its store; nothing runs.
func over(t *testing.T, s store.Store, k Keep) (*registry.Registry, *Journal) {
	t.Helper()
	r, err := registry.New(s, registry.Options{Rules: kinds.All()})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r, New(s, api.Builtin, k, slog.New(slog.DiscardHandler))
}

// ask reads an answer to its end.
func ask(t *testing.T, j *Journal, query string) ([]api.Entry, error) {
	t.Helper()
	params, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := j.Connect(t.Context(), params)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	for {
		f, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return decode(t, text.Bytes()), nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Channel == api.ChannelStdout {
			text.Write(f.Data)
		} else if !strings.Contains(string(f.Data), `"Success"`) {
			return decode(t, text.Bytes()), errors.New(string(f.Data))
		}
	}
}

func decode(t *testing.T, text []byte) (all []api.Entry) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var e api.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

// words is an entry in short: "ann create ConfigMap default/a".
func words(all []api.Entry) (text []string) {
	for _, e := range all {
		w := fmt.Sprintf("%s %s %s %s", e.User, e.Verb, e.Object.Kind, e.Object.Key())
		if e.Sub != "" {
			w += " " + e.Sub
		}
		for _, c := range e.Causes.Edges {
			w += fmt.Sprintf(" %s", c.Type)
		}
		text = append(text, w)
	}
	return text
}

func TestWhoChangedAnObject(t *testing.T) {
	r, j := over(t, memory.New(), Keep{})
	ann := api.WithUser(t.Context(), api.User{Name: "ann"})
	ben := api.WithCauses(api.WithUser(t.Context(), api.User{Name: "ben"}), api.Causes{}.Add(api.Cause{Type: api.CauseTrigger, Revision: 3}))
	pod := func(name string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	}
	do := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key := api.Key{Namespace: "default", Name: "web"}
	do(api.Nodes.Create(ann, r, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}))
	do(api.Pods.Create(ann, r, pod("web")))
	do(api.Pods.Create(ann, r, pod("web-2"))) // begins with the name of the other
	do(r.Write(ben, api.Request{Target: api.Target{Kind: api.PodKind, Key: key, Sub: "binding"}, Verb: api.VerbCreate,
		Body: &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Target: corev1.ObjectReference{Kind: "Node", Name: "n1"}}}))
	do(api.Pods.Patch(ben, r, key, "status", types.MergePatchType, []byte(`{"status":{"phase":"Running"}}`)))
	do(nil, api.Pods.Delete(ann, r, key, api.Options{Grace: new(int64)}))
	do(api.Pods.Create(ann, r, pod("web")))
	do(r.Write(ann, api.Request{Target: api.Target{Kind: api.PodKind, Key: api.Key{Namespace: "default"}}, Verb: api.VerbDeleteCollection}))
	got, err := ask(t, j, "kind=pods&namespace=default&name=web")
	want := []string{"ann create Pod default/web", "ben create Pod default/web binding trigger", "ben patch Pod default/web status trigger", "ann delete Pod default/web",
		"ann create Pod default/web", "ann delete Pod default/web"}
	if err != nil || !slices.Equal(words(got), want) {
		t.Fatalf("got %q, %v", words(got), err)
	}
	for i, e := range got {
		var c api.Changed
		for _, x := range e.Changed {
			if x.Object.Kind == "Pod" {
				c = x
			}
		}
		if created, gone := i == 0 || i == 4, i == 3 || i == 5; c.Object.Key() != key || (c.Was == 0) != created || c.Gone != gone || !created && c.Was != got[i-1].Revision {
			t.Errorf("%s changed %+v", words(got)[i], e.Changed)
		}
		if i > 0 && e.Time.Before(got[i-1].Time) || time.Since(e.Time) > time.Hour {
			t.Errorf("%s at %s", words(got)[i], e.Time)
		}
	}
	if n, err := ask(t, j, "kind=nodes&name=n1&limit=1"); err != nil || len(n) != 1 || n[0].Changed[0].Key != "/core/nodes/n1" && n[0].Changed[1].Key != "/core/nodes/n1" {
		t.Errorf("the node's: %+v, %v", n, err)
	}
}

// A journal of ten writes, one each minute.
func tenMinutes(t *testing.T) (*registry.Registry, *Journal, []api.Revision) {
	t.Helper()
	r, j := over(t, memory.New(), Keep{})
	var revisions []api.Revision
	for i := range 10 {
		if i > 0 {
			time.Sleep(time.Minute)
		}
		o, err := api.ConfigMaps.Create(t.Context(), r, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("c", i)}})
		if err != nil {
			t.Fatal(err)
		}
		revisions = append(revisions, api.RevisionOf(o))
	}
	return r, j, revisions
}

func TestWhatCanBeAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, j, at := tenMinutes(t)
		if err := j.store.Compact(t.Context(), store.Revision(at[2])); err != nil {
			t.Fatal(err)
		}
		begins := fmt.Sprintf("which begins at revision %d (2000-01-01T00:03:00Z)", at[3])
		for _, row := range []struct {
			query string
			want  []int // of the ten
			err   string
		}{
			{query: "", want: []int{3, 4, 5, 6, 7, 8, 9}},
			{query: "limit=2", want: []int{3, 4}},
			{query: fmt.Sprintf("after=%d&until=%d", at[4], at[6]), want: []int{5, 6}},
			{query: fmt.Sprintf("after=%d", at[9])},
			{query: "since=2m30s", want: []int{7, 8, 9}},
			{query: "since=2000-01-01T00:08:00Z", want: []int{9}},
			{query: "since=1h", want: []int{3, 4, 5, 6, 7, 8, 9}},
			{query: "kind=configmaps&name=c5", want: []int{5}},
			{query: "kind=secrets"},
			{query: "at=-1m30s", want: []int{7}},
			{query: "at=2000-01-01T00:04:00Z", want: []int{4}},
			{query: "at=1s", want: []int{8}},
			{query: fmt.Sprint("at=", at[5]), want: []int{5}},
			{query: "at=-8m", err: "what was at 2000-01-01T00:01:00Z is not in the journal, " + begins},
			{query: fmt.Sprint("at=", at[1]), err: fmt.Sprintf("revision %d is not in the journal, ", at[1]) + begins},
			{query: fmt.Sprint("after=", at[0]), err: begins},
			{query: fmt.Sprint("after=", at[9]+1), err: fmt.Sprintf("revision %d has not been written yet: the newest is %d", at[9]+1, at[9])},
			{query: "at=2000-01-02T00:00:00Z", err: "lies in the future: the API server's clock says 2000-01-01T00:09:00Z"},
			{query: "at=yesterday", err: `at="yesterday": must be a time ago like -5m`},
			{query: "after=many", err: `after="many": must be a number`},
			{query: "kind=things", err: `kind="things" is not known`},
		} {
			got, err := ask(t, j, row.query)
			var want []api.Revision
			for _, i := range row.want {
				want = append(want, at[i])
			}
			var revisions []api.Revision
			for _, e := range got {
				revisions = append(revisions, e.Revision)
			}
			if fault := fmt.Sprint(err); !slices.Equal(revisions, want) || (err == nil) != (row.err == "") || err != nil && !strings.Contains(fault, row.err) {
				t.Errorf("%q: %v, %v; want %v", row.query, revisions, err, want)
			}
		}
	})
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, j, _ := tenMinutes(t)
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := j.Connect(ctx, url.Values{"follow": {"true"}, "since": {"30s"}, "kind": {"secrets"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b"} {
			o, err := api.Secrets.Create(t.Context(), r, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}})
			if err != nil {
				t.Fatal(err)
			}
			f, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if e := decode(t, f.Data); len(e) != 1 || e[0].Revision != api.RevisionOf(o) {
				t.Errorf("told of %+v", e)
			}
		}
		cancel()
		if _, err := stream.Recv(); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v", err)
		}
	})
}
