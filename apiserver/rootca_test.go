package apiserver

import (
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

// The CA is in every namespace, and there again when somebody has changed or removed it.
func TestTheCAIsInEveryNamespace(t *testing.T) {
	s, dir := start(t, nil)
	c := connect(t, filepath.Join(dir, "admin.kubeconfig"))
	key := api.Key{Namespace: "kube-public", Name: rootCA}
	batches, err := c.Watch(t.Context(), api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: key.Namespace}},
		api.WatchOptions{Initial: true, Fields: fields.OneTermEqualSelector("metadata.name", rootCA)})
	if err != nil {
		t.Fatal(err)
	}
	disturb := []func() error{
		func() error {
			_, err := api.ConfigMaps.Patch(t.Context(), c, key, "", types.MergePatchType, []byte(`{"data":{"ca.crt":"mine","more":"x"}}`))
			return err
		},
		func() error { return api.ConfigMaps.Delete(t.Context(), c, key, api.Options{}) },
	}
	for range batches {
		cm, err := api.ConfigMaps.Get(t.Context(), c, key)
		if err != nil || len(cm.Data) != 1 || cm.Data["ca.crt"] != string(s.CA.PEM) {
			continue // not yet (again): another event comes
		}
		if len(disturb) == 0 {
			return
		}
		if err := disturb[0](); err != nil {
			t.Fatal(err)
		}
		disturb = disturb[1:]
	}
}
