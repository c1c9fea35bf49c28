// Generate writes the schema of the kinds that Optimist serves (../definitions.json.gz). Step one is kube-openapi's own generator, which reads comments and tags of k8s.io/api
// into Go code (./openapi, not kept); step two, this program, turns that code into JSON. `make generate` runs both. It is a module of its own, because it needs what the product doesn't.
package main

//go:generate go run k8s.io/kube-openapi/cmd/openapi-gen --output-dir openapi --output-pkg generate/openapi --output-file openapi.go --go-header-file /dev/null --report-filename /dev/null k8s.io/api/apps/v1 k8s.io/api/authentication/v1 k8s.io/api/authorization/v1 k8s.io/api/autoscaling/v1 k8s.io/api/autoscaling/v2 k8s.io/api/batch/v1 k8s.io/api/certificates/v1 k8s.io/api/coordination/v1 k8s.io/api/core/v1 k8s.io/api/discovery/v1 k8s.io/api/events/v1 k8s.io/api/networking/v1 k8s.io/api/node/v1 k8s.io/api/policy/v1 k8s.io/api/rbac/v1 k8s.io/api/scheduling/v1 k8s.io/api/scheduling/v1alpha3 k8s.io/api/storage/v1 k8s.io/apimachinery/pkg/apis/meta/v1 k8s.io/apimachinery/pkg/runtime k8s.io/apimachinery/pkg/util/intstr k8s.io/apimachinery/pkg/api/resource k8s.io/apimachinery/pkg/version
//go:generate go run . ../definitions.json.gz

import (
	"cmp"
	"compress/gzip"
	"encoding/json"
	"log"
	"maps"
	"os"
	"reflect"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kube-openapi/pkg/builder3/util"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"generate/openapi"
)

var groups = runtime.NewSchemeBuilder(appsv1.AddToScheme, authenticationv1.AddToScheme, authorizationv1.AddToScheme, autoscalingv1.AddToScheme, autoscalingv2.AddToScheme,
	batchv1.AddToScheme, certificatesv1.AddToScheme, coordinationv1.AddToScheme, corev1.AddToScheme, discoveryv1.AddToScheme, eventsv1.AddToScheme, networkingv1.AddToScheme,
	nodev1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme, schedulingv1.AddToScheme, storagev1.AddToScheme)

func main() {
	if err := write(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func write(file string) error {
	kinds, err := kinds()
	if err != nil {
		return err
	}
	all := openapi.GetOpenAPIDefinitions(func(name string) spec.Ref { return spec.MustCreateRef("#/components/schemas/" + name) })
	out := map[string]*spec.Schema{}
	add := func(string) {}
	add = func(name string) { // and what it consists of
		if out[name] != nil {
			return
		}
		s := all[name].Schema
		delete(s.Extensions, common.ExtensionV2Schema)
		if of := kinds[name]; of != nil {
			s.AddExtension("x-kubernetes-group-version-kind", of)
		}
		out[name] = util.WrapRefs(&s)
		for _, part := range all[name].Dependencies {
			add(part)
		}
	}
	add("io.k8s.apimachinery.pkg.apis.meta.v1.Patch") // stands in paths alone
	for name := range kinds {
		add(name)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	z, _ := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err := json.NewEncoder(z).Encode(out); err != nil {
		return err
	}
	return cmp.Or(z.Close(), f.Close())
}

type gvk struct {
	Group   string `json:"group"`
	Kind    string `json:"kind"`
	Version string `json:"version"`
}

// kinds lists which kinds have a type as their body, by the type's name in the schema.
func kinds() (map[string][]gvk, error) {
	s, of := runtime.NewScheme(), map[string][]gvk{}
	if err := groups.AddToScheme(s); err != nil {
		return nil, err
	}
	for k, t := range s.AllKnownTypes() {
		if named, ok := reflect.New(t).Interface().(interface{ OpenAPIModelName() string }); ok && k.Version != runtime.APIVersionInternal {
			of[named.OpenAPIModelName()] = append(of[named.OpenAPIModelName()], gvk{k.Group, k.Kind, k.Version})
		}
	}
	for _, name := range slices.Collect(maps.Keys(of)) {
		slices.SortFunc(of[name], func(a, b gvk) int {
			return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Kind, b.Kind))
		})
	}
	return of, nil
}
