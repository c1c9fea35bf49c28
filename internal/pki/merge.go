package pki

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/yaml"
)

// document is a kubeconfig of which we understand only what we must: the rest stays raw, and so survives.
type document map[string]json.RawMessage

// The lists of a kubeconfig, each of entries with a name.
const (
	clusters = "clusters"
	users    = "users"
	contexts = "contexts"
	current  = "current-context"
)

// MergeKubeconfig adds or replaces a's cluster, user and context in the kubeconfig at path (made if it is not there) and makes the context
// the current one if asked, or if there was none. Everything else in the file stays. The user's entry is named after the context
// too, so that two clusters' administrators do not meet.
func MergeKubeconfig(path string, a Access, makeCurrent bool) error {
	a.User = userOf(a.Context)
	return edit(path, func(d document) error { return d.merge(a, makeCurrent) })
}

// CanMerge reports why MergeKubeconfig would fail for a context of this name.
func CanMerge(path, context string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := editBytes(data, func(d document) error { return d.free(context) }); err != nil {
		return unmended(path, err)
	}
	return nil
}

// free reports whether the names that a context of ours would have are not somebody else's.
func (d document) free(context string) error {
	all, err := d.list(contexts)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(e item) bool { return e.Name == context && e.Context.User == userOf(context) }) {
		return nil // the cluster is ours, and whose contexts also lead there have been added since
	}
	for _, e := range all {
		if (e.Name == context || e.Context.Cluster == context) && e.Context.User != userOf(context) {
			return fmt.Errorf("its context %q leads to another cluster %q: remove that context, or choose another --name", e.Name, context)
		}
	}
	return nil
}

// userOf names the entry of a context's administrator, so that those of two clusters do not meet.
func userOf(context string) string { return AdminUser + "@" + context }

func (d document) merge(a Access, makeCurrent bool) error {
	if err := d.free(a.Context); err != nil {
		return err
	}
	c, u, x := a.entries()
	if err := errors.Join(d.put(clusters, c.Name, c), d.put(users, u.Name, u), d.put(contexts, x.Name, x)); err != nil {
		return err
	}
	if makeCurrent || d.current() == "" {
		return d.set(current, a.Context)
	}
	return nil
}

// RemoveContext takes a context that MergeKubeconfig has written, with its cluster and user, out of the kubeconfig at path, unless other contexts
// use them; a current-context that named it becomes empty, and a file with nothing left in it goes. Removing what is not there is no error.
func RemoveContext(path, context string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return edit(path, func(d document) error {
		if d.free(context) != nil {
			return nil // somebody else's
		}
		return d.remove(context)
	})
}

func unmended(path string, err error) error {
	return fmt.Errorf("kubeconfig %s: %w; nothing in it was changed: mend the file or move it away", path, err)
}

// edit changes a kubeconfig as a whole. A link is followed: people keep this file elsewhere.
func edit(path string, change func(document) error) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	after, err := editBytes(data, change)
	if err != nil {
		return unmended(path, err)
	}
	if after == nil { // nothing of anybody is left in it
		if err := os.Remove(path); err != nil {
			return err
		}
		_ = os.Remove(filepath.Dir(path)) // fails, and shall, if there is more in it
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return WriteFile(path, after)
}

func editBytes(data []byte, change func(document) error) ([]byte, error) {
	d := document{}
	if err := yaml.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if len(d) == 0 {
		d = document{"apiVersion": json.RawMessage(`"v1"`), "kind": json.RawMessage(`"Config"`)}
	}
	if err := change(d); err != nil || d.empty() {
		return nil, err
	}
	return yaml.Marshal(d)
}

// empty reports whether a document says nothing: no entries, no foreign fields.
func (d document) empty() bool {
	for field, value := range d {
		switch string(value) {
		case "[]", "{}", `""`, "null":
		default:
			if field != "apiVersion" && field != "kind" {
				return false
			}
		}
	}
	return true
}

func (d document) set(field string, value any) error {
	data, err := json.Marshal(value)
	d[field] = data
	return err
}

func (d document) current() string {
	var s string
	_ = json.Unmarshal(d[current], &s) // what is no string names no context
	return s
}

// item is an entry as it stands in the file, and what we understand of it.
type item struct {
	raw json.RawMessage
	entry
}

// UnmarshalJSON takes anything: what has no name is not ours.
func (i *item) UnmarshalJSON(data []byte) error {
	i.raw = slices.Clone(data)
	_ = json.Unmarshal(data, &i.entry)
	return nil
}

func (i item) MarshalJSON() ([]byte, error) { return i.raw, nil }

func (d document) list(field string) (all []item, err error) {
	if d[field] == nil {
		return nil, nil
	}
	if err := json.Unmarshal(d[field], &all); err != nil {
		return nil, fmt.Errorf("%s is not a list: %w", field, err)
	}
	return all, nil
}

// put replaces the first entry of that name, or appends.
func (d document) put(field, name string, entry any) error {
	all, err := d.list(field)
	if err != nil {
		return err
	}
	data, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(e item) bool { return e.Name == name })
	if i < 0 {
		return d.set(field, append(all, item{raw: data}))
	}
	all[i].raw = data
	return d.set(field, all)
}

func (d document) remove(context string) error {
	all, err := d.list(contexts)
	if err != nil {
		return err
	}
	var gone binding
	used := map[string]bool{} // what the other contexts need
	for _, e := range all {
		if e.Name == context {
			gone = e.Context
		} else {
			used[clusters+e.Context.Cluster], used[users+e.Context.User] = true, true
		}
	}
	for field, name := range map[string]string{contexts: context, clusters: gone.Cluster, users: gone.User} {
		if name == "" || used[field+name] {
			continue
		}
		all, err := d.list(field)
		if err == nil && all != nil {
			err = d.set(field, slices.DeleteFunc(all, func(e item) bool { return e.Name == name }))
		}
		if err != nil {
			return err
		}
	}
	if d.current() == context {
		return d.set(current, "")
	}
	return nil
}
