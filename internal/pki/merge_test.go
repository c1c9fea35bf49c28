package pki

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const foreign = `
apiVersion: v1
kind: Config
preferences: {colors: true}
extensions: [{name: mine, extension: {a: 1}}]
clusters:
- name: work
  cluster: {server: https://work:6443, proxy-url: socks5://x, extensions: [{name: e}]}
users:
- name: me
  user: {exec: {command: login, args: ["--as", "<me>"]}}
contexts:
- name: work
  context: {cluster: work, user: me, namespace: team}
current-context: work
`

var ours = Access{Context: "one", User: AdminUser, Server: "127.0.0.1:6443", CA: []byte("ca"), Cert: []byte("cert"), Key: []byte("key")}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// asJSON makes two files comparable: order and style do not count.
func asJSON(t *testing.T, data []byte) string {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestMergeAndRemoveLeaveTheRestAsItWas(t *testing.T) {
	path := write(t, foreign)
	if err := MergeKubeconfig(path, ours, false); err != nil {
		t.Fatal(err)
	}
	a, err := ParseKubeconfig(read(t, path), "one")
	if err != nil || a.Server != ours.Server || string(a.Key) != "key" {
		t.Fatalf("merged: %+v, %v", a, err)
	}
	if a, err := ParseKubeconfig(read(t, path), ""); err != nil || a.Context != "work" {
		t.Fatalf("the current context became %+v, %v", a, err)
	}
	if err := RemoveContext(path, "one"); err != nil {
		t.Fatal(err)
	}
	if got, want := asJSON(t, read(t, path)), asJSON(t, []byte(foreign)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestCurrentContext(t *testing.T) {
	for _, row := range []struct {
		name, file string
		make       bool
		want       string
	}{
		{"stays when not asked", foreign, false, "work"},
		{"changes when asked", foreign, true, "one"},
		{"is ours in an empty file", "", false, "one"},
	} {
		path := write(t, row.file)
		if err := MergeKubeconfig(path, ours, row.make); err != nil {
			t.Fatal(err)
		}
		if a, err := ParseKubeconfig(read(t, path), ""); err != nil || a.Context != row.want {
			t.Errorf("%s: %q, %v", row.name, a.Context, err)
		}
	}
}

func TestMergingTwiceReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "config")
	for _, key := range []string{"old", "new"} {
		a := ours
		a.Key = []byte(key)
		if err := MergeKubeconfig(path, a, true); err != nil {
			t.Fatal(err)
		}
	}
	data := read(t, path)
	if a, err := ParseKubeconfig(data, "one"); err != nil || string(a.Key) != "new" {
		t.Errorf("%+v, %v", a, err)
	}
	if n := bytes.Count(data, []byte("server:")); n != 1 {
		t.Errorf("there are %d clusters:\n%s", n, data)
	}
}

func TestRemovingTheCurrentContextLeavesNone(t *testing.T) {
	path := write(t, foreign)
	if err := MergeKubeconfig(path, ours, true); err != nil {
		t.Fatal(err)
	}
	if err := RemoveContext(path, "one"); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseKubeconfig(read(t, path), ""); err == nil {
		t.Error("there still is a current context")
	}
}

func TestSharedEntriesSurviveRemoval(t *testing.T) {
	path := write(t, foreign+"- bad: \"\n")
	before := read(t, path)
	if err := MergeKubeconfig(path, ours, true); err == nil {
		t.Error("a broken file was merged into")
	}
	if !bytes.Equal(read(t, path), before) {
		t.Error("a broken file was changed")
	}
	shared := write(t, "")
	if err := MergeKubeconfig(shared, ours, true); err != nil {
		t.Fatal(err)
	}
	second := bytes.Replace(read(t, shared), []byte("contexts:\n"), []byte("contexts:\n- {name: dev, context: {cluster: one, user: kubernetes-admin@one, namespace: dev}}\n"+
		"- {name: viewer, context: {cluster: one, user: viewer}}\n"), 1)
	if err := os.WriteFile(shared, second, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(MergeKubeconfig(shared, ours, true), RemoveContext(shared, "one")); err != nil {
		t.Fatal(err)
	}
	if a, err := ParseKubeconfig(read(t, shared), "dev"); err != nil || a.Server != ours.Server {
		t.Errorf("context dev lost what it shared with ours: %v", err)
	}
	if _, err := ParseKubeconfig(read(t, shared), "one"); err == nil {
		t.Error("the context is still there")
	}
}

// A cluster of ours may have the name of somebody else's: that one's entries are neither replaced nor removed.
func TestForeignEntriesOfOurNameStay(t *testing.T) {
	for name, file := range map[string]string{
		"a context": `{contexts: [{name: one, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: {server: "https://x:1"}}], users: [{name: u, user: {}}]}`,
		"a cluster": `{contexts: [{name: u@one, context: {cluster: one, user: u}}], clusters: [{name: one, cluster: {server: "https://x:1"}}], users: [{name: u, user: {}}]}`,
	} {
		path := write(t, file)
		for _, err := range []error{CanMerge(path, "one"), MergeKubeconfig(path, ours, true)} {
			if err == nil || !strings.Contains(err.Error(), "--name") || !strings.Contains(err.Error(), path) {
				t.Errorf("%s of our name: %v", name, err)
			}
		}
		if err := RemoveContext(path, "one"); err != nil {
			t.Error(err)
		}
		if got, want := asJSON(t, read(t, path)), asJSON(t, []byte(file)); got != want {
			t.Errorf("%s of our name: got %s\nwant %s", name, got, want)
		}
	}
	for _, broken := range []string{"contexts: 7", "clusters: [", "\x00"} {
		if CanMerge(write(t, broken), "one") == nil {
			t.Errorf("%q can be merged into", broken)
		}
	}
	if err := CanMerge(filepath.Join(t.TempDir(), "none"), "one"); err != nil {
		t.Error(err)
	}
}

func FuzzMerge(f *testing.F) {
	f.Add([]byte(foreign))
	f.Add([]byte("clusters: 7"))
	f.Add([]byte("contexts: [{name: [x]}, 3, null]"))
	f.Add([]byte("? {a: b}\n: c"))
	f.Fuzz(func(t *testing.T, data []byte) {
		merged, err := editBytes(data, func(d document) error { return d.merge(ours, true) })
		if err != nil {
			return
		}
		if a, err := ParseKubeconfig(merged, ""); err == nil && (a.Context != "one" || a.Server != ours.Server) {
			t.Fatalf("merged %q:\n%s\nread back as %+v", data, merged, a)
		}
		removed, err := editBytes(merged, func(d document) error { return d.remove("one") })
		if err != nil {
			t.Fatalf("cannot remove what was merged into %q: %v", data, err)
		}
		if _, err := ParseKubeconfig(removed, "one"); err == nil {
			t.Fatalf("the context is still there:\n%s", removed)
		}
	})
}
