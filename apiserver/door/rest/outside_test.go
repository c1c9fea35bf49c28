package rest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"optimist/apiserver/door/rest"
)

// written are the ways to send a body in words: method, media type, path.
var written = []string{"POST application/json " + maps, "POST application/yaml " + maps, "POST application/json /api/v1/namespaces/default/pods", "POST application/yaml /apis/apps/v1/namespaces/default/deployments",
	"PUT application/json " + maps + "/a", "DELETE application/yaml " + maps + "/a", "POST application/json /api/v1/namespaces/default/pods/a/eviction",
	"PATCH application/json-patch+json " + maps + "/a", "PATCH application/merge-patch+json " + maps + "/a", "PATCH application/strategic-merge-patch+json /api/v1/namespaces/default/services/a",
	"PATCH application/apply-patch+yaml " + maps + "/b", "PATCH application/apply-patch+yaml /api/v1/namespaces/default/services/a", "POST application/json /apis/certificates.k8s.io/v1/certificatesigningrequests"}

// FuzzWords: bodies in JSON and YAML, and patches of all four types. Writes are tried only (dryRun), so that the registry stays as it is.
func FuzzWords(f *testing.F) {
	bomb := "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\n"
	for way := range written {
		for _, seed := range []string{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"},"data":{"a":"b"}}`, "metadata: {name: b}\ndata: {a: b}\n", `[{"op":"add","path":"/data","value":{}},{"op":"copy","from":"/data","path":"/data/x"}]`,
			`[{"op":"test","path":"/metadata/finalizers","value":[null]}]`, `{"spec":{"ports":[{"port":80,"$patch":"delete"}],"$setElementOrder/ports":[{"port":1}],"$retainKeys":["x"]}}`, bomb, strings.Repeat("[", 20000), "null", ""} {
			f.Add(uint(way), []byte(seed))
		}
	}
	s := rest.New(config(records(f)))
	for path, body := range map[string]string{maps: `{"metadata":{"name":"a"},"data":{"k":"v"}}`, "/api/v1/namespaces/default/services": `{"metadata":{"name":"a"},"spec":{"ports":[{"name":"a","port":80},{"name":"b","port":81}]}}`} {
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader(body))); w.Code != http.StatusCreated && w.Code != http.StatusConflict {
			f.Fatal(w.Code, w.Body)
		}
	}
	f.Fuzz(func(t *testing.T, way uint, body []byte) {
		words := strings.Fields(written[way%uint(len(written))])
		r := httptest.NewRequest(words[0], words[2]+"?dryRun=All&fieldManager=f", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", words[1])
		fuzzed(t, s, r)
	})
}

// FuzzSelection: selectors, continue tokens, revisions and who it is that asks.
func FuzzSelection(f *testing.F) {
	f.Add("a in (b,c),!d,e>1", "metadata.name!=a", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0", "1", "Bearer x", "gzip")
	f.Add("((", "spec.nodeName=\\", "e30", "-1", "Basic YTpi", ";q=")
	f.Add("a notin (),b", "a==b,c", "====", "99999999999999999999", "Bearer a.b.c", "*;q=2, gzip;q=0")
	s := rest.New(config(records(f)))
	f.Fuzz(func(t *testing.T, labels, fields, token, revision, bearer, encoding string) {
		q := url.Values{"labelSelector": {labels}, "fieldSelector": {fields}, "continue": {token}, "resourceVersion": {revision}, "limit": {"2"}}
		r := httptest.NewRequest("GET", "/api/v1/namespaces?"+q.Encode(), nil)
		r.Header["Authorization"], r.Header["Accept-Encoding"], r.Header["Impersonate-Extra-"+bearer] = []string{bearer}, []string{encoding}, []string{labels}
		fuzzed(t, s, r)
	})
}
