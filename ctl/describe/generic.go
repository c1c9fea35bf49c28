package describe

import (
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

// generic describes any object by its own fields. kubectl does so for custom resources.
func generic(p *page, k *api.Kind, o api.Object) {
	p.line("Name:\t%s", o.GetName())
	p.line("Namespace:\t%s", o.GetNamespace())
	p.labels("Labels", o.GetLabels())
	p.annotations(o.GetAnnotations())
	p.line("API Version:\t%s", k.GVK("").GroupVersion())
	p.line("Kind:\t%s", k.Name)
	bare := o.DeepCopyObject().(api.Object)
	bare.SetManagedFields(nil)
	bare.SetLabels(nil)
	bare.SetAnnotations(nil)
	text, err := yaml.Marshal(bare)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		p.line("%s", labelled(strings.TrimRight(line, "\n")))
	}
}

var fieldName = regexp.MustCompile(`^([ -]*)([a-zA-Z]+):(.*)$`)

// labelled writes a line of YAML as a label and its value: "leaseDurationSeconds: 40" as "Lease Duration Seconds: 40".
func labelled(line string) string {
	m := fieldName.FindStringSubmatch(line)
	if m == nil {
		return line
	}
	return m[1] + inWords(m[2]) + ":" + m[3]
}

var humps = regexp.MustCompile(`([a-z])([A-Z])`)

func inWords(name string) string {
	name = humps.ReplaceAllString(name, "$1 $2")
	return strings.ToUpper(name[:1]) + name[1:]
}
