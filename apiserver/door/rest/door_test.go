package rest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"optimist/internal/api"
)

// ask is curl: METHOD PATH, then headers as "Name: value", and after an empty line the body.
func ask(t testing.TB, url, request string) (code int, header http.Header, body string) {
	t.Helper()
	head, body, _ := strings.Cut(request, "\n\n")
	lines := strings.Split(head, "\n")
	method, path, _ := strings.Cut(lines[0], " ")
	r, err := http.NewRequest(method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(data)
}

const (
	maps    = "/api/v1/namespaces/default/configmaps"
	web     = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"web","labels":{"app":"web"}},"data":{"k":"v"}}`
	metaV1  = ";g=meta.k8s.io;v=v1"
	tableV1 = "application/json;as=Table" + metaV1
)

// Each row is asked in this order of one server.
func TestOnTheWire(t *testing.T) {
	url := serve(t, config(records(t))).URL
	for _, row := range []struct {
		why, ask string
		code     int
		says     string // all of its words, separated by " … "
	}{
		{"a create", "POST " + maps + "?fieldManager=me\n\n" + web, 201, `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"web" … "uid"`},
		{"again", "POST " + maps + "\n\n" + web, 409, `"reason":"AlreadyExists","details":{"name":"web","kind":"configmaps"},"code":409`},
		{"a dry run", "POST " + maps + "?dryRun=All\n\n" + strings.Replace(web, `"web"`, `"dry"`, 1), 201, `"dry"`},
		{"was dry", "GET " + maps + "/dry", 404, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"configmaps \"dry\" not found","reason":"NotFound","details":{"name":"dry","kind":"configmaps"},"code":404}`},
		{"half a dry run", "POST " + maps + "?dryRun=some\n\n" + web, 422, `CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value`},
		{"the namespace of the body", "POST " + maps + "\n\n" + strings.Replace(web, `"name":"web"`, `"name":"x","namespace":"other"`, 1), 400, "does not match the namespace sent on the request (default)"},
		{"the name of the body", "PUT " + maps + "/other\n\n" + web, 400, "the name of the object (web) does not match the name on the URL (other)"},
		{"YAML in and out", "PUT " + maps + "/web\nContent-Type: application/yaml\nAccept: application/yaml\n\nmetadata: {name: web, labels: {app: web}}\ndata: {k: w}", 200, "apiVersion: v1\ndata:\n  k: w\nkind: ConfigMap"},
		{"a body in CBOR", "POST " + maps + "\nContent-Type: application/cbor\n\nx", 415, "the body of the request was in an unknown format - accepted media types include: application/json"},
		{"a patch in JSON", "PATCH " + maps + "/web\nContent-Type: application/json\n\n{}", 415, "application/json-patch+json, application/merge-patch+json"},
		{"a merge patch", "PATCH " + maps + "/web\nContent-Type: application/merge-patch+json; charset=utf-8\n\n{\"data\":{\"k\":\"x\"}}", 200, `"k":"x"`},
		{"force without apply", "PATCH " + maps + "/web?force=true\nContent-Type: application/merge-patch+json\n\n{}", 422, "force: Forbidden: may not be specified for non-apply patch"},
		{"apply without manager", "PATCH " + maps + "/web\nContent-Type: application/apply-patch+yaml\n\n{}", 422, "fieldManager: Required value: is required for apply patch"},
		{"unknown field, strictly", "POST " + maps + "?fieldValidation=Strict\n\n" + strings.Replace(web, `"data"`, `"date"`, 1), 400, `unknown field \"date\"`},
		{"a kind that is not", "GET /api/v1/cats", 404, `"message":"the server could not find the requested resource","reason":"NotFound","details":{},"code":404`},
		{"a version that is not", "GET /apis/apps/v7/deployments", 404, `"reason":"NotFound"`},
		{"a short name is no resource", "GET /api/v1/cm", 404, `"reason":"NotFound"`},
		{"a subresource that is not", "GET " + maps + "/web/scale", 404, `"reason":"NotFound"`},
		{"an object outside its namespace", "GET /api/v1/configmaps/web", 404, `"reason":"NotFound"`},
		{"a node in a namespace", "GET /api/v1/namespaces/default/nodes", 404, `"reason":"NotFound"`},
		{"an unknown path", "GET /nowhere", 404, `"reason":"NotFound"`},
		{"a create without namespace", "POST /api/v1/configmaps\n\n" + web, 405, `"reason":"MethodNotAllowed"`},
		{"an unknown method", "BREW " + maps, 405, `"reason":"MethodNotAllowed"`},
		{"a namespace by its own path", "GET /api/v1/namespaces/default", 200, `"kind":"Namespace"`},
		{"a time limit", "GET " + maps + "?timeout=5s", 200, "items"},
		{"which is none", "GET " + maps + "?timeout=5", 400, "invalid timeout specified in the request URL"},
		{"a wrong token", "GET " + maps + "\nAuthorization: Bearer wrong", 401, `"reason":"Unauthorized"`},
		{"nothing acceptable", "GET " + maps + "\nAccept: text/html", 406, "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"},
		{"the better of two", "GET " + maps + "/web\nAccept: application/yaml;q=0.5, application/json;q=0.9, text/html", 200, `{"kind":"ConfigMap"`},
		{"what is understood of many", "GET " + maps + "/web\nAccept: application/json;as=Cat" + metaV1 + ",application/json;q=0.1", 200, `{"kind":"ConfigMap"`},
		{"anything", "GET " + maps + "/web\nAccept: */*", 200, `{"kind":"ConfigMap"`},
		{"a list", "GET " + maps + "?labelSelector=app%3Dweb", 200, `{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":" … "items":[{"metadata":{"name":"web"`},
		{"an empty list", "GET " + maps + "?labelSelector=app%3Ddb", 200, `"items":[]}`},
		{"a bad selector", "GET " + maps + "?labelSelector=a%3D%3D%3Db", 400, "BadRequest"},
		{"a bad field", "GET " + maps + "?fieldSelector=a.b%3Dc", 400, "field label not supported: a.b"},
		{"a bad limit", "GET " + maps + "?limit=many", 400, "BadRequest"},
		{"kubectl's list", "GET " + maps + "\nAccept: " + tableV1 + ",application/json", 200, `{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion": … "columnDefinitions":[{"name":"Name" … "rows":[{"cells":[ … "object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name"`},
		{"kubectl's get", "GET " + maps + "/web?includeObject=Object\nAccept: " + tableV1, 200, `"kind":"Table" … "cells":["web" … "object":{"kind":"ConfigMap"`},
		{"without objects", "GET " + maps + "/web?includeObject=None\nAccept: " + tableV1, 200, `"object":null`},
		{"with what?", "GET " + maps + "/web?includeObject=Half\nAccept: " + tableV1, 400, "Unable to convert to Table as requested"},
		{"a table in protobuf", "GET " + maps + "\nAccept: application/vnd.kubernetes.protobuf;as=Table" + metaV1, 406, "only the following"},
		{"metadata", "GET " + maps + "/web\nAccept: application/json;as=PartialObjectMetadata" + metaV1, 200, `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"web"`},
		{"metadata of a list", "GET " + maps + "\nAccept: application/json;as=PartialObjectMetadata" + metaV1, 406, "the requested object is a list"},
		{"metadata of many", "GET " + maps + "\nAccept: application/json;as=PartialObjectMetadataList" + metaV1, 200, `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1" … "items":[{"kind":"PartialObjectMetadata"`},
		{"exactly nothing", "GET " + maps + "?resourceVersionMatch=Exact", 422, "resourceVersionMatch is forbidden unless resourceVersion is provided"},
		{"exactly anything", "GET " + maps + "?resourceVersionMatch=Exact&resourceVersion=0", 422, "is forbidden for resourceVersion"},
		{"about then", "GET " + maps + "?resourceVersionMatch=About&resourceVersion=1", 422, "Unsupported value"},
		{"initial events of a list", "GET " + maps + "?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=1", 422, "sendInitialEvents is forbidden for list"},
		{"no number", "GET " + maps + "?resourceVersion=x", 400, "invalid resource version"},
		{"the future", "GET " + maps + "?resourceVersion=99999999", 504, `Too large resource version: 99999999, current: … "reason":"ResourceVersionTooLarge"`},
		{"the future of one", "GET " + maps + "/web?resourceVersion=99999999", 504, `"reason":"Timeout"`},
		{"not older", "GET " + maps + "/web?resourceVersion=1", 200, `"web"`},
		{"a watch of initial events with no match", "GET " + maps + "?watch=1&sendInitialEvents=true", 422, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"},
		{"a watch in YAML", "GET " + maps + "?watch=1\nAccept: application/yaml", 406, "accepted: application/json;stream=watch,"},
		{"a pod", "POST /api/v1/namespaces/default/pods\n\n" + `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}`, 201, `"phase":"Pending"`},
		{"its binding", "POST /api/v1/namespaces/default/pods/p/binding\n\n" + `{"target":{"kind":"Node","name":"n"}}`, 201, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201}`},
		{"its eviction", "POST /api/v1/namespaces/default/pods/p/eviction\n\n" + `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"p"}}`, 201, `"status":"Success","code":201`},
		{"a scale that is a table", "GET /api/v1/namespaces/default/pods/p/status\nAccept: " + tableV1, 200, `"cells":["p"`},
		{"a page", "GET /api/v1/namespaces?limit=1", 200, `"continue":" … "remainingItemCount":3`},
		{"a selected page", "GET /api/v1/namespaces?limit=1&labelSelector=kubernetes.io/metadata.name", 200, `"continue":"`},
		{"an event of the new group", "POST /apis/events.k8s.io/v1/namespaces/default/events\n\n" + `{"metadata":{"name":"e"},"eventTime":"2026-11-29T18:00:00.000000Z","reportingController":"a.b/c","reportingInstance":"i","action":"Go","reason":"Went","type":"Normal","regarding":{"namespace":"default"}}`, 201, `"kind":"Event","apiVersion":"events.k8s.io/v1"`},
		{"the same as of old", "GET /api/v1/namespaces/default/events/e", 200, `"kind":"Event","apiVersion":"v1" … "source"`},
		{"printed", "GET /apis/events.k8s.io/v1/namespaces/default/events\nAccept: " + tableV1, 200, `"cells":[`},
		{"a stale precondition", "DELETE " + maps + "/web\n\n" + `{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"other"}}`, 409, `"reason":"Conflict"`},
		{"no options of a delete", "DELETE " + maps + "/web\n\n" + web, 400, "decoded object cannot be converted to DeleteOptions"},
		{"two policies", "DELETE " + maps + "/web?orphanDependents=true&propagationPolicy=Orphan", 422, "cannot be both set"},
		{"a delete that lingers", "DELETE " + maps + "/web?propagationPolicy=Foreground", 200, `"kind":"ConfigMap" … "deletionTimestamp" … "foregroundDeletion"`},
		{"its old form", "DELETE " + maps + "/web?orphanDependents=false", 200, `"status":"Success","details":{"name":"web","kind":"configmaps","uid":"`},
		{"a collection", "DELETE " + maps + "?labelSelector=app%3Dweb", 200, `"status":"Success"`},
	} {
		code, header, body := ask(t, url, row.ask)
		rest := body
		for word := range strings.SplitSeq(row.says, " … ") {
			_, after, ok := strings.Cut(rest, word)
			if !ok {
				t.Errorf("%s: %q is not in %s", row.why, word, body)
				break
			}
			rest = after
		}
		if code != row.code {
			t.Errorf("%s: %d, want %d: %s", row.why, code, row.code, body)
		}
		if header.Get("Cache-Control") != "no-cache, private" {
			t.Errorf("%s: headers %v", row.why, header)
		}
	}
}

func TestWarningsAreHeaders(t *testing.T) {
	url := serve(t, config(records(t))).URL
	_, header, _ := ask(t, url, "POST "+maps+"\n\n"+strings.Replace(web, `"data"`, `"da\"te"`, 1))
	if w := header.Get("Warning"); !strings.HasPrefix(w, `299 - "unknown field \"da`) {
		t.Errorf("the warning is %q", w)
	}
}

func TestSizes(t *testing.T) {
	url := serve(t, config(records(t))).URL
	code, _, body := ask(t, url, "POST "+maps+"\n\n"+strings.Repeat(" ", 3<<20+1))
	if code != 413 || !strings.Contains(body, "Request entity too large: limit is 3145728") {
		t.Errorf("%d %s", code, body)
	}
	for n := range 200 {
		if code, _, body := ask(t, url, "POST "+maps+"\n\n"+strings.Replace(web, `"web"`, fmt.Sprintf(`"web-%d","annotations":{"a":%q}`, n, strings.Repeat("x", 1000)), 1)); code != 201 {
			t.Fatal(body)
		}
	}
	for accept, want := range map[string]string{"gzip": "gzip", "identity": ""} {
		_, header, body := ask(t, url, "GET "+maps+"\nAccept-Encoding: "+accept)
		if header.Get("Content-Encoding") != want || want == "" && len(body) < 200_000 || want != "" && len(body) > 50_000 {
			t.Errorf("%s: %d bytes, %v", accept, len(body), header)
		}
	}
}

// nothing is a service that panics.
type nothing struct{ api.Service }

// endless is a service that never answers.
type endless struct{ api.Service }

func (endless) List(ctx context.Context, _ api.Target, _ api.ListOptions) (api.List, error) {
	<-ctx.Done()
	return api.List{}, ctx.Err()
}

func TestTheTimeLimit(t *testing.T) {
	code, _, body := ask(t, serve(t, config(endless{})).URL, "GET "+maps+"?timeout=1ms")
	if code != 504 || !strings.Contains(body, `"message":"Timeout: request did not complete within the allotted timeout","reason":"Timeout"`) {
		t.Errorf("%d %s", code, body)
	}
}

func TestAPanicIsAnAnswer(t *testing.T) {
	url := serve(t, config(nothing{})).URL
	code, _, body := ask(t, url, "GET "+maps)
	if code != 500 || !strings.Contains(body, `"reason":"InternalError"`) {
		t.Errorf("%d %s", code, body)
	}
}

func TestRoutes(t *testing.T) {
	c := config(records(t))
	says := func(what string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, what) })
	}
	c.Routes = map[string]http.Handler{"/api": says("core"), "/openapi": says("all"), "/openapi/v3": says("three")}
	url := serve(t, c).URL
	for path, want := range map[string]string{"/api": "core", "/api/v1": "core", "/openapi/v2": "all", "/openapi/v3/": "three", "/openapi/v3/x/y": "three", "/openapiv2": "NotFound", "/api/v1/cats": "NotFound"} {
		if _, _, body := ask(t, url, "GET "+path); !strings.Contains(body, want) {
			t.Errorf("%s: %s", path, body)
		}
	}
}
