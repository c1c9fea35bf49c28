package describe_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store/memory"
	"optimist/ctl/describe"
	"optimist/ctl/manifest"
	"optimist/internal/api"

	"github.com/rogpeppe/go-internal/txtar"
)

// Each archive in testdata holds objects.yaml and, for every description that is wanted, a file named kind/name. To accept what comes out now:
//
//	UPDATE=1 go test ./ctl/describe
//
// Time is that of a bubble: everything is created at midnight and described a minute later.
func TestDescribe(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no archives", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { golden(t, file) })
		})
	}
}

func golden(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	svc := cluster(t)
	for i, f := range archive.Files {
		if f.Name == "objects.yaml" {
			load(t, svc, f.Data)
			time.Sleep(time.Minute)
			continue
		}
		got := of(t, svc, f.Name)
		if os.Getenv("UPDATE") != "" {
			archive.Files[i].Data = []byte(got)
		} else if got != string(f.Data) {
			t.Errorf("%s:\n%s\nwant\n%s", f.Name, got, f.Data)
		}
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func cluster(t *testing.T) api.Service {
	r, err := registry.New(memory.New(), registry.Options{Rules: kinds.All()})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// load creates objects with their statuses. An owner or an event's object named without a uid gets the real one.
func load(t *testing.T, svc api.Service, data []byte) {
	t.Helper()
	documents, faults := manifest.Options{Catalogue: api.Builtin}.Parse("objects.yaml", data)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	for _, d := range documents {
		if d.Kind.Namespaced && d.Object.GetNamespace() == "" {
			d.Object.SetNamespace("default")
		}
		o, err := d.Kind.New(d.Version)
		if err != nil {
			t.Fatal(err)
		}
		text, err := yaml.Marshal(d.Object.Object)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, o); err != nil {
			t.Fatal(err)
		}
		create(t, svc, d.Kind, o)
	}
}

func create(t *testing.T, svc api.Service, k *api.Kind, o api.Object) {
	t.Helper()
	owners := o.GetOwnerReferences()
	for i := range owners {
		owners[i].UID = find(t, svc, owners[i].Kind, owners[i].Name).GetUID()
	}
	o.SetOwnerReferences(owners)
	if e, ok := o.(*corev1.Event); ok {
		e.InvolvedObject.UID = find(t, svc, e.InvolvedObject.Kind, e.InvolvedObject.Name).GetUID()
	}
	target := api.Target{Kind: k, Key: api.KeyOf(o)}
	made, err := svc.Write(t.Context(), api.Request{Target: target, Verb: api.VerbCreate, Body: o.DeepCopyObject().(api.Object)})
	if err != nil {
		t.Fatal(err)
	}
	if !k.HasSub("status") {
		return
	}
	target.Sub = "status"
	o.SetResourceVersion(made.Object.GetResourceVersion())
	o.SetUID(made.Object.GetUID())
	if _, err := svc.Write(t.Context(), api.Request{Target: target, Verb: api.VerbUpdate, Body: o}); err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, svc api.Service, kind, name string) api.Object {
	t.Helper()
	k := api.Builtin.Find(kind)
	key := api.Key{Name: name}
	if k.Namespaced {
		key.Namespace = "default"
	}
	r, err := svc.Get(t.Context(), api.Target{Kind: k, Key: key}, api.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Object
}

func of(t *testing.T, svc api.Service, arg string) string {
	kind, name, _ := strings.Cut(arg, "/")
	o := find(t, svc, kind, name)
	return describe.Describe(t.Context(), describe.Cluster{Service: svc, At: time.Now()}, api.Builtin.Find(kind), o)
}
