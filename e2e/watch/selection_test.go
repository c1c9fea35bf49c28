package watch

import (
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
)

// selection is a choice of pods, written twice: for the server and for the model.
type selection struct {
	namespace, labels, fields string
	model                     func(key api.Key, p pod) bool // beside the namespace
}

func (s selection) picks(key api.Key, p pod) bool {
	return (s.namespace == "" || s.namespace == key.Namespace) && s.model(key, p)
}

func (s selection) String() string { return s.namespace + "|" + s.labels + "|" + s.fields }

func (s selection) options() api.WatchOptions {
	l, err := labels.Parse(s.labels)
	f, ferr := fields.ParseSelector(s.fields)
	if err != nil || ferr != nil {
		panic(s.String())
	}
	return api.WatchOptions{Selector: l, Fields: f}
}

var selections = []selection{
	{"", "", "", func(api.Key, pod) bool { return true }},
	{"ns1", "", "", func(api.Key, pod) bool { return true }},
	{"", "app=a", "", func(_ api.Key, p pod) bool { return p.app == "a" }},
	{"", "app!=a", "", func(_ api.Key, p pod) bool { return p.app != "a" }},
	{"", "app", "", func(_ api.Key, p pod) bool { return p.app != "" }},
	{"", "!app", "", func(_ api.Key, p pod) bool { return p.app == "" }},
	{"ns2", "app in (a,b)", "", func(_ api.Key, p pod) bool { return p.app == "a" || p.app == "b" }},
	{"", "app notin (a,b)", "", func(_ api.Key, p pod) bool { return p.app != "a" && p.app != "b" }},
	{"", "app=none", "", func(api.Key, pod) bool { return false }},
	{"", "", "spec.nodeName=n1", func(_ api.Key, p pod) bool { return p.node == "n1" }},
	{"", "", "spec.nodeName=n2", func(_ api.Key, p pod) bool { return p.node == "n2" }},
	{"", "", "spec.nodeName=", func(_ api.Key, p pod) bool { return p.node == "" }},
	{"", "", "spec.nodeName!=n1", func(_ api.Key, p pod) bool { return p.node != "n1" }},
	{"ns0", "app=b", "spec.nodeName=n1", func(_ api.Key, p pod) bool { return p.app == "b" && p.node == "n1" }},
	{"", "", "metadata.name=p3", func(k api.Key, _ pod) bool { return k.Name == "p3" }},
	{"", "app=a", "metadata.name=p3,spec.nodeName!=n2", func(k api.Key, p pod) bool { return k.Name == "p3" && p.app == "a" && p.node != "n2" }},
	{"", "", "metadata.namespace=ns3", func(k api.Key, _ pod) bool { return k.Namespace == "ns3" }},
}
