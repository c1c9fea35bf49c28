package apitest

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
)

// maps makes ConfigMaps called a, b, c …, each labelled with its name.
func (s *suite) maps(names string) (all []api.Object) {
	for _, name := range names {
		all = append(all, s.create(fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %c, namespace: default, labels: {is: %c}}", name, name)))
	}
	return all
}

func (s *suite) list(k *api.Kind, namespace string, o api.ListOptions) (string, api.List) {
	s.Helper()
	l, err := s.List(s.ctx, api.Target{Kind: k, Key: api.Key{Namespace: namespace}}, o)
	if err != nil {
		s.Fatal(err)
	}
	var names []string
	for _, o := range l.Items {
		names = append(names, o.GetName())
	}
	return strings.Join(names, " "), l
}

func history(s *suite) {
	first := s.create(plainMap)
	second := s.update(with(first, func(c *corev1.ConfigMap) { c.Data["k"] = "w" }), "")
	s.must(s.tryDelete(second, api.Options{}))
	at := func(r api.Revision) (api.Object, error) {
		res, err := s.Get(s.ctx, s.target(first, ""), api.GetOptions{At: r})
		return res.Object, err
	}
	s.equal("the first state", s.must(at(api.RevisionOf(first))).(*corev1.ConfigMap).Data["k"], "v")
	s.equal("the second state", s.must(at(api.RevisionOf(second))).(*corev1.ConfigMap).Data["k"], "w")
	_, err := at(0)
	s.fails(err, metav1.StatusReasonNotFound)
	_, err = at(1 << 40)
	s.fails(err, metav1.StatusReasonTimeout)
	names, _ := s.list(api.ConfigMapKind, "default", api.ListOptions{At: api.RevisionOf(second)})
	s.equal("a list of the past", names, "a")
}

func list(s *suite) {
	s.maps("bca")
	names, l := s.list(api.ConfigMapKind, "default", api.ListOptions{})
	s.equal("a list", names, "a b c")
	if l.Revision < api.RevisionOf(l.Items[0]) {
		s.Errorf("the list's revision is %d", l.Revision)
	}
	for _, row := range []struct{ labels, fields, want string }{
		{"is=a", "", "a"},
		{"is in (a,c)", "", "a c"},
		{"is notin (a)", "", "b c"},
		{"!is", "", ""},
		{"", "metadata.name=b", "b"},
		{"", "metadata.name!=b", "a c"},
		{"is=a", "metadata.name=b", ""},
		{"", "metadata.namespace=default", "a b c"},
		{"", "metadata.namespace=other", ""},
	} {
		names, _ := s.list(api.ConfigMapKind, "default", selecting(s, row.labels, row.fields))
		s.equal(fmt.Sprintf("a list of labels %q and fields %q", row.labels, row.fields), names, row.want)
	}
	_, err := s.List(s.ctx, api.Target{Kind: api.ConfigMapKind}, selecting(s, "", "data.k=v"))
	s.fails(err, metav1.StatusReasonBadRequest, "field label not supported: data.k", "metadata.name")
	names, _ = s.list(api.NamespaceKind, "", api.ListOptions{})
	if !slices.Contains(strings.Fields(names), "kube-system") {
		s.Errorf("the namespaces are %s", names)
	}
	_, l = s.list(api.ConfigMapKind, "default", api.ListOptions{View: api.Table})
	if len(l.Rows) != 3 || len(l.Columns) == 0 || l.Columns[0].Name != "Name" || l.Rows[1][0] != "b" || len(l.Rows[1]) != len(l.Columns) {
		s.Errorf("the table is %+v %v", l.Columns, l.Rows)
	}
	s.create(boundPod)
	names, _ = s.list(api.PodKind, "", selecting(s, "", "spec.nodeName=n1"))
	s.equal("pods by node", names, "p")
	names, _ = s.list(api.PodKind, "", selecting(s, "", "spec.nodeName=n2"))
	s.equal("pods of another node", names, "")
}

func selecting(s *suite, l, f string) api.ListOptions {
	s.Helper()
	var o api.ListOptions
	var err error
	if o.Selector, err = labels.Parse(l); err != nil {
		s.Fatal(err)
	}
	if o.Fields, err = fields.ParseSelector(f); err != nil {
		s.Fatal(err)
	}
	return o
}

// All pages tell of one revision, whatever is written between them.
func pages(s *suite) {
	all := s.maps("abcde")
	names, first := s.list(api.ConfigMapKind, "default", api.ListOptions{Limit: 2})
	s.equal("the first page", names, "a b")
	s.must(s.tryDelete(all[2], api.Options{}))
	s.maps("f")
	names, second := s.list(api.ConfigMapKind, "default", api.ListOptions{Limit: 2, Continue: first.Continue})
	s.equal("the second page", names, "c d")
	s.equal("its revision", second.Revision, first.Revision)
	names, third := s.list(api.ConfigMapKind, "default", api.ListOptions{Limit: 2, Continue: second.Continue})
	s.equal("the third page", names, "e")
	s.equal("the last page's token", third.Continue, "")
	o := selecting(s, "is in (b,f)", "")
	o.Limit = 1
	names, first = s.list(api.ConfigMapKind, "default", o)
	s.equal("the first selected", names, "b")
	o.Continue = first.Continue
	names, _ = s.list(api.ConfigMapKind, "default", o)
	s.equal("the second selected", names, "f")
	for _, token := range []string{"nonsense", first.Continue} {
		_, err := s.List(s.ctx, api.Target{Kind: api.SecretKind}, api.ListOptions{Continue: token})
		s.fails(err, metav1.StatusReasonBadRequest, "continue")
	}
}
