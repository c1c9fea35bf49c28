package rest

import (
	"net/http"
	"slices"
	"strings"

	"optimist/internal/api"
)

// streamed are the subresources that one connects to instead of reading or writing them.
var streamed = []string{"log", "exec", "attach", "portforward", "proxy"}

// parse is what a path names: /api/V/… and /apis/GROUP/V/… with [namespaces/NS/]PLURAL[/NAME[/SUB]]; below "proxy" anything may follow.
// objects is false for any other path; an error says that there is no such kind, version or subresource.
func (s *Server) parse(path string) (t api.Target, objects bool, err error) {
	words := strings.Split(strings.TrimPrefix(path, "/"), "/")
	switch {
	case len(words) >= 3 && words[0] == "api" && words[2] != "":
		words[0] = ""
	case len(words) >= 4 && words[0] == "apis" && words[3] != "":
		words = words[1:]
	default:
		return t, false, nil
	}
	group, version, words := words[0], words[1], words[2:]
	own := len(words) == 3 && group == "" && api.NamespaceKind.HasSub(words[2]) // namespaces/NAME/status
	if words[0] == "namespaces" && len(words) > 2 && !own {
		t.Key.Namespace, words = words[1], words[2:]
	}
	t.Version = version
	for n, field := range []*string{nil, &t.Key.Name, &t.Sub} {
		if field != nil && n < len(words) {
			*field = words[n]
		}
	}
	t.Kind = s.Catalogue.Find(words[0] + "." + group)
	if t.Kind == nil || t.Kind.Plural != words[0] || t.Kind.Group != group || !fits(t) || len(words) > 3 && t.Sub != "proxy" {
		return api.Target{}, true, errNoSuchPath // what is not there names nothing: metrics have a row for each target
	}
	return t, true, nil
}

// fits reports whether a kind is served like this.
func fits(t api.Target) bool {
	served := slices.ContainsFunc(t.Kind.Versions, func(v api.Version) bool { return v.Name == t.Version })
	rooted := t.Kind.Namespaced && (t.Key.Namespace != "" || t.Key.Name == "") || !t.Kind.Namespaced && t.Key.Namespace == ""
	return served && rooted && t.Kind.HasSub(t.Sub) && (t.Sub == "" || t.Key.Name != "")
}

// verb is what a method means there.
func verb(r *http.Request, t api.Target) (api.Verb, error) {
	v := api.Verb("")
	switch one := t.Key.Name != ""; {
	case slices.Contains(streamed, t.Sub):
		return api.VerbConnect, nil
	case r.Method == http.MethodGet && one:
		v = api.VerbGet
	case r.Method == http.MethodGet:
		v = api.VerbList
	case r.Method == http.MethodPost && one == (t.Sub != ""):
		v = api.VerbCreate
	case r.Method == http.MethodPut && one:
		v = api.VerbUpdate
	case r.Method == http.MethodPatch && one:
		v = api.VerbPatch
	case r.Method == http.MethodDelete && one:
		v = api.VerbDelete
	case r.Method == http.MethodDelete:
		v = api.VerbDeleteCollection
	}
	everywhere := t.Kind.Namespaced && t.Key.Namespace == ""
	if v == "" || everywhere && v != api.VerbList {
		return "", errMethod
	}
	return v, nil
}
