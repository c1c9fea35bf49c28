package registry

import (
	"bytes"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

func configMaps(t testing.TB) *resource {
	t.Helper()
	return newResource(api.ConfigMapKind, Rules{Kind: api.ConfigMapKind}, nil)
}

// Whatever stands in the store, reading it never panics, and what can be read is written the same again.
func FuzzDecode(f *testing.F) {
	k := configMaps(f)
	payload, err := k.encode(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string]string{"k": "v"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.seal("/a", payload))
	f.Add([]byte{})
	f.Add([]byte{formatProtobuf})
	f.Add([]byte{formatProtobuf, 0, 2, 'v', '1', 200})
	f.Add([]byte{2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, value []byte) {
		o, err := k.decode("/a", value, 7)
		if err != nil {
			return
		}
		if o.GetResourceVersion() != "7" {
			t.Errorf("the revision is %q", o.GetResourceVersion())
		}
		first, err := k.encode(o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := k.decode("/a", k.seal("/a", first), 7)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := k.encode(again); err != nil || !bytes.Equal(first, second) {
			t.Errorf("written again it differs (%v):\n%x\n%x", err, first, second)
		}
	})
}

func TestDamagedValues(t *testing.T) {
	k := configMaps(t)
	sealed := envelope{version: "v1", keyID: "key", payload: []byte("x")}.bytes()
	for _, row := range []struct {
		name  string
		value []byte
	}{
		{"nothing", nil},
		{"an unknown format", []byte{9, 0, 0, 0}},
		{"half an envelope", sealed[:4]},
		{"an encrypted value", sealed},
		{"an unknown version", envelope{version: "v9"}.bytes()},
		{"what is no protobuf", envelope{version: "v1", payload: []byte{255}}.bytes()},
	} {
		if o, err := k.decode("/a", row.value, 1); err == nil {
			t.Errorf("%s was decoded to %v", row.name, o)
		}
	}
}
