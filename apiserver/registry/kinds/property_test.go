package kinds

import (
	"math"
	"reflect"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

// Whatever is sent: defaults are idempotent, and no rule panics.
func TestAnythingCanBeSent(t *testing.T) {
	for _, r := range All() {
		t.Run(r.Kind.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { anything(t, r) })
		})
	}
}

func anything(t *rapid.T, r registry.Rules) {
	o, old := random(t, r.Kind), random(t, r.Kind)
	if r.Default != nil {
		r.Default(o)
		once := o.DeepCopyObject()
		r.Default(o)
		if !equality.Semantic.DeepEqual(once, o) {
			t.Fatalf("defaults are not idempotent:\n%+v\n%+v", once, o)
		}
	}
	for _, sub := range append([]string{""}, r.Kind.Subs...) {
		for _, before := range []api.Object{nil, old, o.DeepCopyObject().(api.Object)} {
			o := o.DeepCopyObject().(api.Object)
			if before == nil && sub != "" {
				continue
			}
			if r.Prepare != nil {
				r.Prepare(t.Context(), sub, o, before)
			}
			if r.Validate != nil {
				r.Validate(sub, o, before)
			}
		}
	}
	if r.Warnings != nil {
		r.Warnings(o)
	}
	for _, c := range r.Columns {
		c.Cell(o, time.Now())
	}
	for _, f := range r.Fields {
		f(o)
	}
	if r.Grace != nil {
		r.Grace(o, nil)
	}
	for _, s := range r.Subs {
		if s.Get != nil {
			s.Get(o)
		}
		_ = s.Into(s.New(), o)
	}
}

// random is an object whose fields hold, at random, nothing, something usual or something absurd.
func random(t *rapid.T, k *api.Kind) api.Object {
	o, err := k.New("")
	if err != nil {
		t.Fatal(err)
	}
	scramble(t, reflect.ValueOf(o).Elem(), 0)
	return o
}

var (
	words = []string{"", "a", "b", "default", "None", "Always", "TCP", "UDP", "RollingUpdate", "Recreate", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName",
		"Localhost", "Exists", "In", "Equal", "10.96.0.1", "::1", "300.1.1.1", "10.0.0.0/8", "..", "/", "a/../b", "25%", "-1%", "metadata.labels['a']", "metadata.labels['",
		"limits.cpu", "requests.hugepages-2Mi", "image:latest", "image@sha256:0", "nvidia.com/gpu", "hugepages-2Mi", "cpu", "memory", " \x00é", "Local", "ClientIP", "system-x"}
	numbers = []int64{0, 0, 1, 2, -1, 80, 30000, 65535, 65536, math.MaxInt32, math.MinInt32, math.MaxInt64}
	amounts = []string{"0", "1", "-1", "500m", "0.1m", "1Gi", "9E", "1n"}
)

func scramble(t *rapid.T, v reflect.Value, depth int) {
	if depth > 14 || !v.CanSet() {
		return
	}
	switch p := v.Addr().Interface().(type) {
	case *resource.Quantity:
		*p = resource.MustParse(rapid.SampledFrom(amounts).Draw(t, "amount"))
		return
	case *metav1.Time:
		*p = metav1.Unix(rapid.SampledFrom(numbers).Draw(t, "time")%1e9, 0)
		return
	case *metav1.MicroTime:
		*p = metav1.MicroTime{Time: time.Unix(rapid.SampledFrom(numbers).Draw(t, "time")%1e9, 0)}
		return
	case *metav1.FieldsV1, *metav1.TypeMeta:
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(rapid.SampledFrom(words).Draw(t, "word"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(rapid.SampledFrom(numbers).Draw(t, "number"))
	case reflect.Pointer:
		if rapid.IntRange(0, 3).Draw(t, "nil") == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			scramble(t, v.Elem(), depth+1)
		}
	case reflect.Slice:
		n := rapid.IntRange(0, 2).Draw(t, "length")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			scramble(t, v.Index(i), depth+2)
		}
	case reflect.Map:
		scrambleMap(t, v, depth)
	case reflect.Struct:
		for i := range v.NumField() {
			if rapid.IntRange(0, 2+depth/4).Draw(t, "unset") < 2 {
				scramble(t, v.Field(i), depth+1)
			}
		}
	}
}

func scrambleMap(t *rapid.T, v reflect.Value, depth int) {
	v.Set(reflect.MakeMap(v.Type()))
	for range rapid.IntRange(0, 2).Draw(t, "length") {
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		scramble(t, key, depth+2)
		scramble(t, value, depth+2)
		v.SetMapIndex(key, value)
	}
}
