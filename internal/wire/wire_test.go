package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	gproto "google.golang.org/protobuf/proto"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"

	"optimist/internal/api"
	"optimist/proto"
)

var (
	word     = rapid.StringMatching(`[a-z][a-z0-9-]{0,8}[a-z0-9]`)
	revision = rapid.Map(rapid.Int64Min(0), func(n int64) api.Revision { return api.Revision(n) })
)

var target = rapid.Custom(func(t *rapid.T) api.Target {
	k := rapid.SampledFrom(api.Builtin.All()).Draw(t, "kind")
	return api.Target{Kind: k, Version: rapid.SampledFrom([]string{"", "v1"}).Draw(t, "version"),
		Key: api.Key{Namespace: word.Draw(t, "ns"), Name: word.Draw(t, "name")}, Sub: rapid.SampledFrom(append(k.Subs, "")).Draw(t, "sub")}
})

var object = rapid.Custom(func(t *rapid.T) api.Object {
	return &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: word.Draw(t, "ns"), Name: word.Draw(t, "name"), Labels: rapid.MapOfN(word, word, 1, 3).Draw(t, "labels")},
		Data:       rapid.MapOfN(word, rapid.String(), 1, 4).Draw(t, "data")}
})

var listOptions = rapid.Custom(func(t *rapid.T) api.ListOptions {
	o := api.ListOptions{Limit: rapid.Int64().Draw(t, "limit"), Continue: word.Draw(t, "continue"), At: revision.Draw(t, "at"),
		View: rapid.SampledFrom([]api.View{api.Full, api.Table}).Draw(t, "view")}
	if rapid.Bool().Draw(t, "labels") {
		o.Selector = labels.SelectorFromSet(rapid.MapOfN(word, word, 1, 3).Draw(t, "set"))
	}
	if rapid.Bool().Draw(t, "fields") {
		o.Fields = fields.OneTermEqualSelector("metadata.name", word.Draw(t, "value"))
	}
	return o
})

var write = rapid.Custom(func(t *rapid.T) api.Request {
	r := api.Request{Target: target.Draw(t, "target"), Verb: rapid.SampledFrom([]api.Verb{api.VerbCreate, api.VerbPatch, api.VerbDelete}).Draw(t, "verb")}
	switch rapid.IntRange(0, 3).Draw(t, "content") {
	case 0:
		r.Kind, r.Sub, r.Body = api.ConfigMapKind, "", object.Draw(t, "object")
	case 1:
		r.Raw = &api.Raw{MediaType: "application/yaml", Data: []byte(rapid.String().Draw(t, "raw"))}
	case 2:
		r.Patch = &api.Patch{Type: types.MergePatchType, Data: []byte(rapid.String().Draw(t, "patch"))}
	}
	r.Options = api.Options{Manager: word.Draw(t, "manager"), Force: rapid.Bool().Draw(t, "force"), DryRun: rapid.Bool().Draw(t, "dry"), Validation: api.Warn,
		Pre: api.Preconditions{UID: types.UID(word.Draw(t, "uid")), Revision: revision.Draw(t, "revision")}, Propagation: metav1.DeletePropagationForeground}
	if rapid.Bool().Draw(t, "grace") {
		grace := rapid.Int64().Draw(t, "seconds")
		r.Grace = &grace
		r.Fence = &api.Fence{Lease: api.Key{Namespace: "kube-system", Name: word.Draw(t, "lease")}, Holder: word.Draw(t, "holder"), Epoch: rapid.Int32().Draw(t, "epoch")}
		r.Match = listOptions.Draw(t, "match")
	}
	return r
})

// carry is the way through the network.
func carry[M gproto.Message](t *rapid.T, m M) M {
	data, err := gproto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	far := m.ProtoReflect().New().Interface()
	if err := gproto.Unmarshal(data, far); err != nil {
		t.Fatal(err)
	}
	return far.(M)
}

// same compares by the printed form where a value has hidden parts (selectors are compiled).
func same(t *rapid.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) && fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Fatalf("%s changed on the way:\n got %+v\nwant %+v", what, got, want)
	}
}

func TestWriteArrivesAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := write.Draw(t, "write")
		causes := api.Causes{More: rapid.IntRange(0, 3).Draw(t, "more")}.Add(
			api.Cause{Type: api.CauseTrigger, Revision: revision.Draw(t, "c1")}, api.Cause{Type: api.CauseOwner, Revision: revision.Draw(t, "c2")})
		p, err := EncodeWrite(r, causes)
		if err != nil {
			t.Fatal(err)
		}
		got, gotCauses, err := DecodeWrite(api.Builtin, carry(t, p))
		if err != nil {
			t.Fatal(err)
		}
		same(t, "causes", gotCauses, causes)
		sameSelectors(t, got.Match, r.Match)
		got.Match.Selector, got.Match.Fields, r.Match.Selector, r.Match.Fields = nil, nil, nil, nil
		if r.Raw != nil && len(r.Raw.Data) == 0 || r.Patch != nil && len(r.Patch.Data) == 0 {
			return // nil and empty bytes are one on the wire
		}
		if !reflect.DeepEqual(got, r) {
			t.Fatalf("the request changed on the way:\n got %+v\nwant %+v", got, r)
		}
	})
}

func sameSelectors(t *rapid.T, got, want api.ListOptions) {
	t.Helper()
	same(t, "label selector", text(got.Selector), text(want.Selector))
	same(t, "field selector", text(got.Fields), text(want.Fields))
}

func text(s fmt.Stringer) string {
	if v := reflect.ValueOf(s); s == nil || !v.IsValid() || v.Kind() == reflect.Slice && v.IsNil() {
		return ""
	}
	return s.String()
}

func TestWatchArrivesAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := listOptions.Draw(t, "selectors")
		to, o := target.Draw(t, "target"), api.WatchOptions{Selector: l.Selector, Fields: l.Fields, After: revision.Draw(t, "after"),
			Initial: rapid.Bool().Draw(t, "initial"), NotOlderThan: revision.Draw(t, "not older"), View: l.View}
		gotTarget, got, err := DecodeWatch(api.Builtin, carry(t, EncodeWatch(to, o)))
		if err != nil {
			t.Fatal(err)
		}
		sameSelectors(t, api.ListOptions{Selector: got.Selector, Fields: got.Fields}, l)
		got.Selector, got.Fields, o.Selector, o.Fields = nil, nil, nil, nil
		same(t, "target", gotTarget, to)
		same(t, "options", got, o)
	})
}

func TestEventsArriveAsTheyWere(t *testing.T) {
	event := rapid.Custom(func(t *rapid.T) api.Event {
		if rapid.Bool().Draw(t, "bookmark") {
			return api.Event{Type: api.Bookmark, Revision: revision.Draw(t, "revision"), InitialEnd: rapid.Bool().Draw(t, "end")}
		}
		return api.Event{Type: rapid.SampledFrom([]api.EventType{api.Added, api.Modified, api.Deleted}).Draw(t, "type"), Object: object.Draw(t, "object"),
			Revision: revision.Draw(t, "revision"), Cells: []any{word.Draw(t, "cell"), rapid.Int64().Draw(t, "number"), 1.5, true}}
	})
	rapid.Check(t, func(t *rapid.T) {
		batch := rapid.SliceOfN(event, 1, 5).Draw(t, "batch")
		p, err := EncodeEvents(batch)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeEvents(api.Target{Kind: api.ConfigMapKind}, carry(t, p))
		if err != nil || !reflect.DeepEqual(got, batch) {
			t.Fatalf("the batch changed on the way (%v):\n got %+v\nwant %+v", err, got, batch)
		}
	})
}

func TestListArrivesAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := api.List{Items: rapid.SliceOfN(object, 0, 4).Draw(t, "items"), Revision: revision.Draw(t, "revision"),
			Continue: word.Draw(t, "continue"), Remaining: rapid.Int64().Draw(t, "remaining")}
		if rapid.Bool().Draw(t, "table") {
			l.Columns, l.Rows = []metav1.TableColumnDefinition{{Name: "Name", Type: "string"}}, [][]any{}
			for range l.Items {
				l.Rows = append(l.Rows, []any{word.Draw(t, "cell")})
			}
		}
		p, err := EncodeList(l)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeList(api.Target{Kind: api.ConfigMapKind}, carry(t, p))
		if err != nil || !reflect.DeepEqual(got, l) {
			t.Fatalf("the list changed on the way (%v):\n got %+v\nwant %+v", err, got, l)
		}
	})
}

func TestBodiesOfSubresources(t *testing.T) {
	for _, body := range []api.Object{
		&autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: autoscalingv1.ScaleSpec{Replicas: 3}},
		&corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Target: corev1.ObjectReference{Name: "n1"}},
	} {
		p, err := EncodeBody(api.Target{Kind: api.PodKind}, body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeBody(api.Target{Kind: api.PodKind}, p)
		if err != nil || reflect.TypeOf(got) != reflect.TypeOf(body) || got.GetName() != "web" {
			t.Errorf("%T became %T %v, %v", body, got, got, err)
		}
	}
}

func TestAFalseKindArrives(t *testing.T) {
	p, err := EncodeBody(api.Target{Kind: api.ConfigMapKind}, &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v2", Kind: "Secret"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeBody(api.Target{Kind: api.ConfigMapKind}, p)
	if err != nil || got.GetObjectKind().GroupVersionKind().String() != "/v2, Kind=Secret" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestNothingStaysNothing(t *testing.T) {
	o, err := DecodeListOptions(EncodeListOptions(api.ListOptions{Selector: labels.Nothing(), Fields: fields.Nothing()}))
	if err != nil {
		t.Fatal(err)
	}
	if o.Selector == nil || o.Selector.Matches(labels.Set{"none": "x"}) || o.Selector.Matches(labels.Set{}) {
		t.Errorf("the label selector that matches nothing became %v", o.Selector)
	}
	if o.Fields == nil || o.Fields.Matches(fields.Set{"metadata.name": "none"}) || o.Fields.Matches(fields.Set{"metadata.name": "x"}) {
		t.Errorf("the field selector that matches nothing became %v", o.Fields)
	}
	if o, _ = DecodeListOptions(EncodeListOptions(api.ListOptions{Selector: labels.Everything(), Fields: fields.Everything()})); o.Selector != nil || o.Fields != nil {
		t.Errorf("everything became %v, %v", o.Selector, o.Fields)
	}
}

func TestErrorsArriveWhole(t *testing.T) {
	for _, err := range []error{
		api.PodKind.NotFound("web"),
		api.PodKind.AlreadyExists("web"),
		api.PodKind.Conflict("web", errors.New("revision 7 is the newest")),
		api.PodKind.Invalid("web", field.ErrorList{field.Required(field.NewPath("spec", "containers"), "at least one")}),
		apierrors.NewForbidden(api.PodKind.Resource(), "web", errors.New("no")),
		apierrors.NewResourceExpired("too old"),
		apierrors.NewTooManyRequests("later", 3),
		api.OutcomeUnknown("who knows"),
	} {
		got := DecodeError(EncodeError(fmt.Errorf("wrapped: %w", err)))
		if !reflect.DeepEqual(got, err) {
			t.Errorf("got %#v\nwant %#v", got, err)
		}
	}
}

func TestEveryReasonHasACode(t *testing.T) {
	for _, o := range outcomes {
		encoded := EncodeError(&apierrors.StatusError{ErrStatus: metav1.Status{Reason: o.reason, Code: o.http, Message: "m"}})
		if status.Code(encoded) != o.code {
			t.Errorf("%s became %s, not %s", o.reason, status.Code(encoded), o.code)
		}
		if back := apierrors.ReasonForError(DecodeError(encoded)); back != o.reason {
			t.Errorf("%s came back as %s", o.reason, back)
		}
	}
}

func TestWhatGRPCSaysByItself(t *testing.T) {
	for _, row := range []struct {
		name string
		in   error
		want func(error) bool
	}{
		{"no connection is ServiceUnavailable", status.Error(codes.Unavailable, "x"), apierrors.IsServiceUnavailable},
		{"a message too large is what Kubernetes calls it", status.Error(codes.ResourceExhausted, "x"), apierrors.IsRequestEntityTooLargeError},
		{"a cancelled call is its context's error", status.Error(codes.Canceled, "x"), func(e error) bool { return errors.Is(e, context.Canceled) }},
		{"a late call is its context's error", status.Error(codes.DeadlineExceeded, "x"), func(e error) bool { return errors.Is(e, context.DeadlineExceeded) }},
		{"anything else is an internal error", status.Error(codes.Unknown, "x"), func(e error) bool { return apierrors.ReasonForError(e) == "" && e.Error() == "x" }},
		{"the end of a stream stays that", io.EOF, func(e error) bool { return e == io.EOF }},
		{"an API error is left alone", api.PodKind.NotFound("x"), apierrors.IsNotFound},
	} {
		if got := DecodeError(row.in); !row.want(got) {
			t.Errorf("%s: got %#v", row.name, got)
		}
	}
}

func TestAmbiguous(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		want bool
	}{
		{"no error", nil, false},
		{"a refusal is clear", api.PodKind.Conflict("x", errors.New("y")), false},
		{"a request that found no server did not happen", apierrors.NewServiceUnavailable("x"), false},
		{"a broken connection is not clear", api.OutcomeUnknown("x"), true},
		{"a server that broke down is not clear", apierrors.NewInternalError(errors.New("x")), true},
		{"time that ran out is not clear", context.DeadlineExceeded, true},
	} {
		if got := api.Ambiguous(row.err); got != row.want {
			t.Errorf("%s: Ambiguous is %v", row.name, got)
		}
		if got := api.Ambiguous(DecodeError(EncodeError(row.err))); got != row.want {
			t.Errorf("%s, over the wire: Ambiguous is %v", row.name, got)
		}
	}
}

func FuzzDecodeWrite(f *testing.F) {
	p, err := EncodeWrite(api.ConfigMaps.Request(api.VerbCreate, api.Key{Namespace: "default", Name: "x"}, "", &corev1.ConfigMap{}), api.Causes{})
	if err != nil {
		f.Fatal(err)
	}
	seed, err := gproto.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &proto.WriteRequest{}
		if gproto.Unmarshal(data, m) != nil {
			return
		}
		r, causes, err := DecodeWrite(api.Builtin, m)
		if err == nil && r.Kind == nil || len(causes.Edges) > api.MaxCauses {
			t.Fatalf("%+v %+v", r, causes)
		}
	})
}
