package apitest

import (
	"context"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

// Run checks a Service.
func Run(t *testing.T, open func(t *testing.T) api.Service) {
	for _, test := range []struct {
		name string
		run  func(*suite)
	}{
		{"create", create},
		{"create refuses", createRefuses},
		{"bodies are decoded strictly", strict},
		{"update", update},
		{"patch", patch},
		{"patches by many at once", patchConcurrently},
		{"dry run", dryRun},
		{"generation and status", generation},
		{"other subresources", subresources},
		{"objects are not shared", notShared},
		{"get reads history", history},
		{"list selects", list},
		{"list pages", pages},
		{"watch tells what happens", watch},
		{"watch begins with what exists", watchInitial},
		{"watch through selectors", watchSelected},
		{"watch resumes", watchResumes},
		{"watch by an indexed field", watchIndexed},
		{"now", now},
		{"delete with grace", deleteGraceful},
		{"delete with finalizers", deleteFinalizers},
		{"delete refuses", deleteRefuses},
		{"delete a collection", deleteCollection},
		{"delete a namespace", deleteNamespace},
		{"several versions", versions},
		{"events of both groups", events},
		{"evictions", evict},
		{"server-side apply", apply},
		{"server-side apply by many at once", applyConcurrently},
		{"fence", fence},
		{"lease epochs", epochs},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			s := &suite{T: t, Service: open(t), ctx: ctx}
			s.detector = Detect(t, s.Service)
			s.Service = s.detector
			test.run(s)
		})
	}
}

// suite is one test's service, with the words that the tests are written in.
type suite struct {
	*testing.T
	api.Service
	detector *Detector
	ctx      context.Context
}

// target is that of a typed object.
func (s *suite) target(o api.Object, sub string) api.Target {
	return api.Target{Kind: api.Builtin.Of(o), Key: api.KeyOf(o), Sub: sub}
}

func (s *suite) try(v api.Verb, o api.Object, sub string, opt api.Options) (api.Object, error) {
	res, err := s.Write(s.ctx, api.Request{Target: s.target(o, sub), Verb: v, Body: o, Options: opt})
	return res.Object, err
}

// create, update and updateStatus write a copy, and must succeed.
func (s *suite) create(text string) api.Object {
	s.Helper()
	return s.must(s.try(api.VerbCreate, Object(s, text), "", api.Options{}))
}

func (s *suite) update(o api.Object, sub string) api.Object {
	s.Helper()
	return s.must(s.try(api.VerbUpdate, o, sub, api.Options{}))
}

func (s *suite) tryPatch(o api.Object, pt types.PatchType, data string) (api.Object, error) {
	res, err := s.Write(s.ctx, api.Request{Target: s.target(o, ""), Verb: api.VerbPatch, Patch: &api.Patch{Type: pt, Data: []byte(data)}})
	return res.Object, err
}

func (s *suite) tryDelete(o api.Object, opt api.Options) (api.Object, error) {
	res, err := s.Write(s.ctx, api.Request{Target: s.target(o, ""), Verb: api.VerbDelete, Options: opt})
	return res.Object, err
}

func (s *suite) must(o api.Object, err error) api.Object {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	return o
}

// get reads an object again; nil if there is none.
func (s *suite) get(o api.Object) api.Object {
	s.Helper()
	res, err := s.Get(s.ctx, s.target(o, ""), api.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return s.must(res.Object, err)
}

// fails checks an error's reason, and that its message has some words.
func (s *suite) fails(err error, reason metav1.StatusReason, words ...string) bool {
	s.Helper()
	if err == nil {
		s.Errorf("no error; want %s %q", reason, words)
		return false
	}
	ok := apierrors.ReasonForError(err) == reason
	for _, w := range words {
		ok = ok && strings.Contains(err.Error(), w)
	}
	if !ok {
		s.Errorf("the error has reason %q, want %s %q:\n%v", apierrors.ReasonForError(err), reason, words, err)
	}
	return ok
}

func (s *suite) equal(what string, got, want any) {
	s.Helper()
	if got != want {
		s.Errorf("%s is %v, want %v", what, got, want)
	}
}

// copyOf returns a copy that may be changed.
func copyOf[T api.Object](o api.Object) T { return o.DeepCopyObject().(T) }

// with returns a changed copy.
func with[T api.Object](o api.Object, change func(T)) T {
	c := copyOf[T](o)
	change(c)
	return c
}
