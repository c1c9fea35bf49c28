package rest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"

	"optimist/apiserver/door/rest"
)

// Bodies that are as dear as can be, at full length of 3 MB: none may cost more memory than a bound, counted in bytes that were ever allocated, nor have a
// long answer.
func TestDearBodies(t *testing.T) {
	size := 1 << 18
	if os.Getenv("OPTIMIST_LONG") != "" {
		size = 3<<20 - 200
	}
	fill := func(unit string) string { return strings.Repeat(unit, size/len(unit)) }
	numbered := func(format string) string {
		var b strings.Builder
		for n := 0; b.Len() < size-100; n++ {
			fmt.Fprintf(&b, format, n)
		}
		return b.String()
	}
	head := `{"metadata":{"name":"b"}`
	bodies := map[string]string{"lists": fill("["), "objects": fill(`{"a":`), "YAML lists": fill("- "), "YAML objects": fill("a: "), "flow": fill("{a: "), "unknown": head + numbered(`,"u%d":1`) + "}", "twice": head + fill(`,"kind":""`) + "}",
		"YAML unknown": numbered("k%d: 1\n"), "aliases": "a: &a [" + strings.Repeat("x,", size/6) + "]\nb: [" + strings.Repeat("*a,", size/10) + "]\n", "operations": "[" + fill(`{"op":"add","path":"/data/a","value":"b"},`) + `{"op":"remove","path":"/data"}]`,
		"documents": fill("---\n"), "tags": fill("!!str "), "anchors": fill("&a "), "keys": fill("? "), "name": head + `,"` + fill("x") + `":1}`, "labels": `{"metadata":{"name":"b","labels":{"a":"b"` + numbered(`,"%d":1`) + "}}}"}
	s := rest.New(config(records(t)))
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", maps, strings.NewReader(`{"metadata":{"name":"a"},"data":{"k":"v"}}`)))
	for _, way := range written {
		words := strings.Fields(way)
		for name, body := range bodies {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := httptest.NewRequest(words[0], words[2]+"?dryRun=All&fieldManager=f&fieldValidation=Strict", strings.NewReader(body))
			r.Header.Set("Content-Type", words[1])
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > uint64(400*size) || w.Code == http.StatusInternalServerError || w.Body.Len() > 4*size {
				t.Errorf("%s %s: %d MiB for %d bytes of body, %d, an answer of %d bytes", way, name, took>>20, len(body), w.Code, w.Body.Len())
			}
		}
	}
}
