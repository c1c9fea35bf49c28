package rest

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"optimist/internal/api"
	types "optimist/internal/schema"
)

// A document of OpenAPI, as far as Kubernetes' clients read it. What v2 calls otherwise than v3 has a field for each.
type document struct {
	OpenAPI     string                                `json:"openapi,omitempty"`
	Swagger     string                                `json:"swagger,omitempty"`
	Info        map[string]string                     `json:"info"`
	Paths       map[string]map[string]operation       `json:"paths"`                // by path and method
	Components  map[string]map[string]json.RawMessage `json:"components,omitempty"` // "schemas", by name
	Definitions map[string]json.RawMessage            `json:"definitions,omitempty"`
	used        []string                              // definitions that operations name
}

type operation struct {
	ID         string                  `json:"operationId"`
	Action     string                  `json:"x-kubernetes-action"`
	Kind       metav1.GroupVersionKind `json:"x-kubernetes-group-version-kind"`
	Parameters []parameter             `json:"parameters,omitempty"`
	Body       *content                `json:"requestBody,omitempty"`
	Responses  map[string]content      `json:"responses"`
}

type parameter struct {
	Name     string `json:"name"`
	In       string `json:"in"`
	Required bool   `json:"required,omitempty"`
	Type     string `json:"type,omitempty"`
	Schema   *form  `json:"schema,omitempty"`
}

type content struct {
	Description string             `json:"description,omitempty"`
	Content     map[string]content `json:"content,omitempty"` // by media type
	Schema      *form              `json:"schema,omitempty"`
}

type form struct {
	Type string `json:"type,omitempty"`
	Ref  string `json:"$ref,omitempty"`
}

// way is how HTTP does something to an object.
type way struct {
	verb                           api.Verb
	id, action, method, at, params string
}

// operations are what HTTP can do to objects, each with its method, the path below the kind's, and the parameters it takes.
var operations = []way{
	{api.VerbList, "list", "list", "get", "", "allowWatchBookmarks continue fieldSelector labelSelector limit resourceVersion resourceVersionMatch sendInitialEvents timeoutSeconds watch"},
	{api.VerbCreate, "create", "post", "post", "", "dryRun fieldManager fieldValidation"},
	{api.VerbDeleteCollection, "deleteCollection", "deletecollection", "delete", "", "continue dryRun fieldSelector gracePeriodSeconds labelSelector limit orphanDependents propagationPolicy"},
	{api.VerbGet, "read", "get", "get", "/{name}", ""},
	{api.VerbUpdate, "replace", "put", "put", "/{name}", "dryRun fieldManager fieldValidation"},
	{api.VerbPatch, "patch", "patch", "patch", "/{name}", "dryRun fieldManager fieldValidation force"},
	{api.VerbDelete, "delete", "delete", "delete", "/{name}", "dryRun gracePeriodSeconds orphanDependents propagationPolicy"},
}

// notText are the types of those parameters that are no strings.
var notText = map[string]string{"limit": "integer", "timeoutSeconds": "integer", "gracePeriodSeconds": "integer",
	"allowWatchBookmarks": "boolean", "force": "boolean", "orphanDependents": "boolean", "sendInitialEvents": "boolean", "watch": "boolean"}

var patchTypes = []string{"application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"}

const metaTypes = "io.k8s.apimachinery.pkg.apis.meta.v1."

// groupVersions are the catalogue's, by the paths below which they are served: "api/v1", "apis/apps/v1".
func groupVersions(c *api.Catalogue) map[string]schema.GroupVersion {
	all := map[string]schema.GroupVersion{}
	for _, k := range c.All() {
		for _, v := range k.Versions {
			gv := k.GVK(v.Name).GroupVersion()
			all[rootOf(gv)] = gv
		}
	}
	return all
}

func rootOf(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "api/" + gv.Version
	}
	return "apis/" + gv.String()
}

var info = map[string]string{"title": "Kubernetes", "version": KubernetesVersion}

// documentV3 describes one group and version.
func documentV3(c *api.Catalogue, gv schema.GroupVersion) ([]byte, error) {
	d := document{OpenAPI: "3.0.0", Info: info, Paths: map[string]map[string]operation{}}
	d.addAll(c, gv)
	texts, err := types.Texts(d.used...)
	if err != nil {
		return nil, err
	}
	d.Components = map[string]map[string]json.RawMessage{"schemas": texts}
	return json.Marshal(d)
}

// documentV2 describes everything: all types, and of the operations what clients look up there, their parameters.
func documentV2(c *api.Catalogue) (data []byte, err error) {
	d := document{Swagger: "2.0", Info: info, Paths: map[string]map[string]operation{}}
	for _, gv := range groupVersions(c) {
		d.addAll(c, gv)
	}
	if d.Definitions, err = types.Swagger(); err != nil {
		return nil, err
	}
	return json.Marshal(d)
}

func (d *document) addAll(c *api.Catalogue, gv schema.GroupVersion) {
	for _, k := range c.All() {
		if k.Group == gv.Group && slices.ContainsFunc(k.Versions, func(v api.Version) bool { return v.Name == gv.Version }) {
			d.addKind(k, gv.Version)
		}
	}
}

// addKind adds the operations on a kind's objects and their subresources.
func (d *document) addKind(k *api.Kind, version string) {
	gvk := k.GVK(version)
	group, _, _ := strings.Cut(gvk.Group, ".")
	root, called, scope, name := "/"+rootOf(gvk.GroupVersion())+"/", title(cmp.Or(group, "core"))+title(version), "", k.Name
	if k.Namespaced {
		scope, name = "namespaces/{namespace}/", "Namespaced"+k.Name
	}
	for _, o := range operations {
		if slices.Contains(k.Can(), o.verb) {
			d.add(o, root+scope+k.Plural+o.at, called+name, gvk)
		}
		if o.verb == api.VerbList && k.Namespaced && slices.Contains(k.Can(), o.verb) {
			d.add(o, root+k.Plural, called+k.Name+"ForAllNamespaces", gvk)
		}
		for _, sub := range k.Subs {
			if slices.Contains(api.SubVerbs[sub], o.verb) {
				d.add(o, root+scope+k.Plural+"/{name}/"+sub, called+name+title(sub), subBody(k, version, sub))
			}
		}
	}
}

// add adds one operation on objects whose bodies are of a kind.
func (d *document) add(o way, path, called string, k schema.GroupVersionKind) {
	op := operation{ID: o.id + called, Action: o.action, Kind: metav1.GroupVersionKind(k), Responses: map[string]content{}}
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			op.Parameters = append(op.Parameters, d.parameter(strings.TrimSuffix(name, "}"), "path"))
		}
	}
	for _, name := range strings.Fields(o.params) {
		op.Parameters = append(op.Parameters, d.parameter(name, "query"))
	}
	in, out := "", types.Name(k)
	switch o.verb {
	case api.VerbList:
		out += "List"
	case api.VerbCreate, api.VerbUpdate:
		in = out
	case api.VerbPatch:
		in = metaTypes + "Patch"
	case api.VerbDelete, api.VerbDeleteCollection:
		in, out = metaTypes+"DeleteOptions", metaTypes+"Status"
	}
	op.Responses["200"] = d.content("OK", out, mediaJSON, mediaYAML, mediaProto)
	if in != "" && d.Swagger == "" {
		takes := []string{"*/*"}
		if o.verb == api.VerbPatch {
			takes = patchTypes
		}
		op.Body = new(d.content("", in, takes...))
	}
	if d.Paths[path] == nil {
		d.Paths[path] = map[string]operation{}
	}
	d.Paths[path][o.method] = op
}

func (d *document) parameter(name, in string) parameter {
	p := parameter{Name: name, In: in, Required: in == "path", Type: cmp.Or(notText[name], "string")}
	if d.Swagger == "" {
		p.Schema, p.Type = &form{Type: p.Type}, ""
	}
	return p
}

// content is a body of a type, in v3; v2 is told that there is one.
func (d *document) content(description, name string, media ...string) content {
	c := content{Description: description}
	if d.Swagger == "" {
		d.used, c.Content = append(d.used, name), map[string]content{}
		for _, m := range media {
			c.Content[m] = content{Schema: &form{Ref: types.RefV3 + name}}
		}
	}
	return c
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
