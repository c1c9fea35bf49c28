package parity

import (
	"bytes"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	explain "k8s.io/kubectl/pkg/explain/v2"

	"optimist/ctl"
	"optimist/internal/api"
)

// What ctl says of every kind and of some fields is what kubectl says of them.
func TestExplainIsKubectls(t *testing.T) {
	c := serve(t, false)
	ask := func(gvr schema.GroupVersionResource, path []string, flags ...string) {
		t.Helper()
		var want, got bytes.Buffer
		if err := explain.PrintModelDescription(path, &want, c.OpenAPIV3(), gvr, len(flags) > 0, 0, "plaintext"); err != nil {
			t.Errorf("%s %v: %v", gvr, path, err)
			return
		}
		root := ctl.Over(nil)
		root.SetOut(&got)
		root.SetErr(&got)
		args := append([]string{"explain", strings.Join(append([]string{gvr.Resource + "." + gvr.Version + "." + gvr.Group}, path...), ".")}, flags...)
		if gvr.Group == "" {
			args[1] = strings.Join(append([]string{gvr.Resource}, path...), ".")
		} else if gvr.Version != "v1" {
			args[1] = gvr.Resource
			args = append(args, "--api-version="+gvr.Group+"/"+gvr.Version)
		}
		if ctl.Run(t.Context(), root, args); got.String() != want.String() {
			a, b := strings.Split(got.String(), "\n"), strings.Split(want.String(), "\n")
			for i := range min(len(a), len(b)) {
				if a[i] != b[i] {
					t.Errorf("%s %v %v, line %d: ours %q, theirs %q", gvr, path, flags, i+1, a[i], b[i])
					return
				}
			}
			t.Errorf("%s %v %v: %d lines, theirs %d", gvr, path, flags, len(a), len(b))
		}
	}
	for _, k := range api.Builtin.All() {
		for _, v := range k.Versions {
			if gvr := k.GVK(v.Name).GroupVersion().WithResource(k.Plural); len(k.Can()) > 0 {
				ask(gvr, nil)
				ask(gvr, nil, "--recursive")
			}
		}
	}
	for _, path := range []string{"spec", "spec.containers", "spec.containers.ports.protocol", "spec.volumes.hostPath.type", "metadata.labels", "spec.tolerations.operator", "status.containerStatuses.state",
		"spec.containers.resources.limits", "spec.containers.livenessProbe.httpGet.port", "metadata.creationTimestamp", "metadata.managedFields.fieldsV1"} {
		ask(schema.GroupVersionResource{Version: "v1", Resource: "pods"}, strings.Split(path, "."))
	}
	ask(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, []string{"spec", "strategy", "rollingUpdate", "maxSurge"})
}
