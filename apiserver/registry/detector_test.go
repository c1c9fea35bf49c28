package registry_test

import (
	"strings"
	"testing"

	"optimist/apiserver/registry"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

// The detector that all tests rely on sees a change, in what any method has handed out, and sees none where there is none.
func TestDetector(t *testing.T) {
	r := open(t, registry.Options{})
	target := api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: "default", Name: "a"}}
	created := mustCreate(t, r, configMap("a"))
	for name, obtain := range map[string]func(api.Service) (api.Object, error){
		"get": func(s api.Service) (api.Object, error) {
			res, err := s.Get(t.Context(), target, api.GetOptions{})
			return res.Object, err
		},
		"list": func(s api.Service) (api.Object, error) {
			l, err := s.List(t.Context(), api.Target{Kind: api.ConfigMapKind}, api.ListOptions{})
			return l.Items[0], err
		},
		"write": func(s api.Service) (api.Object, error) {
			return api.ConfigMaps.Update(t.Context(), s, created.DeepCopy())
		},
		"watch": func(s api.Service) (o api.Object, err error) {
			batches, err := s.Watch(t.Context(), api.Target{Kind: api.ConfigMapKind}, api.WatchOptions{Initial: true})
			if err != nil {
				return nil, err
			}
			for batch, err := range batches {
				return batch[0].Object, err
			}
			return nil, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := apitest.Detect(t, r)
			o, err := obtain(d)
			if err != nil {
				t.Fatal(err)
			}
			if all := d.Changed(); len(all) > 0 {
				t.Errorf("nobody has changed anything, yet: %q", all)
			}
			o.SetLabels(map[string]string{"changed": "yes"})
			if all := d.Changed(); len(all) != 1 || !strings.Contains(all[0], "default/a") {
				t.Errorf("it has seen %q", all)
			}
			o.SetLabels(nil)
		})
	}
}
