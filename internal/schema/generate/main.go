// Generate writes the schema of the kinds that Optimist serves (../definitions.json.gz). Step one is kube-openapi's own generator, which reads comments and tags of
// k8s.io/api into Go code (./openapi, not kept); step two, this program, turns what the catalogue needs of it into JSON. `make generate` runs both.
// It is a module of its own, because it needs what the product doesn't.
package main

//go:generate go run k8s.io/kube-openapi/cmd/openapi-gen --output-dir openapi --output-pkg optimist/internal/schema/generate/openapi --output-file openapi.go --go-header-file /dev/null --report-filename /dev/null k8s.io/api/apps/v1 k8s.io/api/authentication/v1 k8s.io/api/authorization/v1 k8s.io/api/autoscaling/v1 k8s.io/api/autoscaling/v2 k8s.io/api/batch/v1 k8s.io/api/certificates/v1 k8s.io/api/coordination/v1 k8s.io/api/core/v1 k8s.io/api/discovery/v1 k8s.io/api/events/v1 k8s.io/api/networking/v1 k8s.io/api/node/v1 k8s.io/api/policy/v1 k8s.io/api/rbac/v1 k8s.io/api/scheduling/v1 k8s.io/api/scheduling/v1alpha3 k8s.io/api/storage/v1 k8s.io/apimachinery/pkg/apis/meta/v1 k8s.io/apimachinery/pkg/runtime k8s.io/apimachinery/pkg/util/intstr k8s.io/apimachinery/pkg/api/resource k8s.io/apimachinery/pkg/version
//go:generate go run . ../definitions.json.gz

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"log"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/builder3/util"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"optimist/internal/api"
	types "optimist/internal/schema"
	"optimist/internal/schema/generate/openapi"
)

type definitions struct {
	generated map[string]common.OpenAPIDefinition
	used      map[string]*spec.Schema
}

func main() {
	d := definitions{openapi.GetOpenAPIDefinitions(func(name string) spec.Ref { return spec.MustCreateRef(types.RefV3 + name) }), map[string]*spec.Schema{}}
	for _, k := range api.Builtin.All() {
		for _, v := range k.Versions {
			for _, kind := range []string{k.Name, k.Name + "List", k.Name + "ProxyOptions"} {
				d.kind(k.GVK(v.Name).GroupVersion().WithKind(kind))
			}
		}
	}
	for _, body := range api.SubBody {
		d.kind(body)
	}
	for _, name := range []string{"DeleteOptions", "Patch", "Status"} {
		d.add("io.k8s.apimachinery.pkg.apis.meta.v1." + name)
	}
	if err := d.write(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

// kind adds a kind's definition, if there is such a kind, and says there whose it is.
func (d definitions) kind(k schema.GroupVersionKind) {
	name := types.Name(k)
	if d.add(name); d.used[name] != nil {
		d.used[name].AddExtension("x-kubernetes-group-version-kind", []metav1.GroupVersionKind{metav1.GroupVersionKind(k)})
	}
}

// add adds a definition and those of which it consists.
func (d definitions) add(name string) {
	was, ok := d.generated[name]
	if !ok || d.used[name] != nil {
		return
	}
	delete(was.Schema.Extensions, common.ExtensionV2Schema)
	d.used[name] = util.WrapRefs(&was.Schema)
	for _, part := range was.Dependencies {
		d.add(part)
	}
}

func (d definitions) write(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(z).Encode(d.used), z.Close(), f.Close())
}
