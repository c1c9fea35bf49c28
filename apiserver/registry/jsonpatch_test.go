package registry

import (
	"encoding/json"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	kubejson "k8s.io/apimachinery/pkg/util/json"
)

func TestJSONPatch(t *testing.T) {
	for _, row := range []struct{ name, doc, patch, want string }{
		{"add a member", `{"a":1}`, `[{"op":"add","path":"/b","value":2}]`, `{"a":1,"b":2}`},
		{"add replaces a member", `{"a":1}`, `[{"op":"add","path":"/a","value":null}]`, `{"a":null}`},
		{"add inserts into a list", `{"a":[1,3]}`, `[{"op":"add","path":"/a/1","value":2}]`, `{"a":[1,2,3]}`},
		{"add at the end of a list", `{"a":[1]}`, `[{"op":"add","path":"/a/1","value":2},{"op":"add","path":"/a/-","value":3}]`, `{"a":[1,2,3]}`},
		{"add beyond a list", `{"a":[1]}`, `[{"op":"add","path":"/a/2","value":2}]`, ``},
		{"add below nothing", `{}`, `[{"op":"add","path":"/a/b","value":2}]`, ``},
		{"replace the whole", `{"a":1}`, `[{"op":"add","path":"","value":{"b":2}}]`, `{"b":2}`},
		{"replace what is absent", `{}`, `[{"op":"replace","path":"/a","value":1}]`, ``},
		{"remove from a list", `{"a":[1,2,3]}`, `[{"op":"remove","path":"/a/0"}]`, `{"a":[2,3]}`},
		{"remove what is absent", `{"a":[]}`, `[{"op":"remove","path":"/a/0"}]`, ``},
		{"move", `{"a":{"b":1},"c":[]}`, `[{"op":"move","from":"/a/b","path":"/c/-"}]`, `{"a":{},"c":[1]}`},
		{"move into itself", `{"a":{"b":1}}`, `[{"op":"move","from":"/a","path":"/a/b"}]`, ``},
		{"copy is deep", `{"a":{"b":1}}`, `[{"op":"copy","from":"/a","path":"/c"},{"op":"add","path":"/c/b","value":2}]`, `{"a":{"b":1},"c":{"b":2}}`},
		{"test", `{"a":{"b":[1,"x"],"c":null}}`, `[{"op":"test","path":"/a","value":{"b":[1,"x"],"c":null}}]`, `{"a":{"b":[1,"x"],"c":null}}`},
		{"a test that makes the library panic", `{"a":[null]}`, `[{"op":"test","path":"/a","value":[null]}]`, ``},
		{"test fails", `{"a":1}`, `[{"op":"test","path":"/a","value":"1"}]`, ``},
		{"escaped names", `{"a/b":1,"c~d":2}`, `[{"op":"remove","path":"/a~1b"},{"op":"remove","path":"/c~0d"}]`, `{}`},
		{"an unknown operation", `{}`, `[{"op":"frob","path":"/a"}]`, ``},
		{"a missing value", `{}`, `[{"op":"add","path":"/a"}]`, ``},
		{"a path without its slash", `{}`, `[{"op":"add","path":"a","value":1}]`, ``},
	} {
		t.Run(row.name, func(t *testing.T) {
			var doc map[string]document
			if err := kubejson.Unmarshal([]byte(row.doc), &doc); err != nil {
				t.Fatal(err)
			}
			ops, err := jsonpatch.DecodePatch([]byte(row.patch))
			var got document
			if err == nil {
				got, err = operate(doc, ops)
			}
			if (err != nil) != (row.want == "") {
				t.Fatalf("got %v, %v; want %s", got, err, row.want)
			}
			if text, _ := json.Marshal(got); err == nil && string(text) != row.want {
				t.Errorf("got %s, want %s", text, row.want)
			}
		})
	}
}

func TestMergePatch(t *testing.T) { // rows from RFC 7396, appendix A
	for _, row := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		var before, change document
		if json.Unmarshal([]byte(row[0]), &before) != nil || json.Unmarshal([]byte(row[1]), &change) != nil {
			t.Fatal(row)
		}
		if got, _ := json.Marshal(merge(before, change)); string(got) != row[2] {
			t.Errorf("%s with %s gives %s, want %s", row[0], row[1], got, row[2])
		}
	}
}
