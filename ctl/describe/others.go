package describe

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

func namespace(_ context.Context, p *page, n *corev1.Namespace) {
	p.rows("Name", n.Name)
	p.marks(n.ObjectMeta)
	p.rows("Status", n.Status.Phase)
	if len(n.Status.Conditions) > 0 {
		table(p, "Conditions:", "Type\tStatus\tLastTransitionTime\tReason\tMessage", n.Status.Conditions, func(c corev1.NamespaceCondition) []string {
			return []string{string(c.Type), string(c.Status), date(c.LastTransitionTime), c.Reason, c.Message}
		})
	}
}

func configMap(_ context.Context, p *page, m *corev1.ConfigMap) {
	p.rows("Name", m.Name, "Namespace", m.Namespace)
	p.marks(m.ObjectMeta)
	p.line("\nData\n====")
	for _, key := range slices.Sorted(maps.Keys(m.Data)) {
		p.line("%s:\n----\n%s\n", key, m.Data[key])
	}
	p.line("\nBinaryData\n====")
	for _, key := range slices.Sorted(maps.Keys(m.BinaryData)) {
		p.line("%s: %d bytes", key, len(m.BinaryData[key]))
	}
	p.line("")
}

// secret tells the sizes only.
func secret(_ context.Context, p *page, s *corev1.Secret) {
	p.rows("Name", s.Name, "Namespace", s.Namespace)
	p.marks(s.ObjectMeta)
	p.line("\nType:  %s\n\nData\n====", s.Type)
	width := 0
	for key := range s.Data {
		width = max(width, len(key)+1)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Data)) {
		p.line("%-*s  %d bytes", width, key+":", len(s.Data[key]))
	}
}

var (
	field = regexp.MustCompile(`(?m)^([ -]*)([a-zA-Z])([a-zA-Z]*):`)
	humps = regexp.MustCompile(`([a-z])([A-Z])`)
)

// fieldByField describes any object as YAML with labels for names: "leaseDurationSeconds: 40" as "Lease Duration Seconds: 40". kubectl does so
// for custom resources.
func fieldByField(p *page, k *api.Kind, o api.Object) {
	bare := o.DeepCopyObject().(api.Object)
	bare.SetManagedFields(nil)
	bare.SetLabels(nil)
	bare.SetAnnotations(nil)
	text, err := yaml.Marshal(bare)
	if err != nil {
		text = []byte(err.Error() + "\n")
	}
	p.rows("Name", o.GetName(), "Namespace", o.GetNamespace())
	p.list("Labels", pairs(o.GetLabels(), "="))
	p.list("Annotations", annotations(o.GetAnnotations()))
	p.rows("API Version", k.GVK("").GroupVersion(), "Kind", k.Name)
	p.text.WriteString(field.ReplaceAllStringFunc(string(text), func(name string) string {
		m := field.FindStringSubmatch(name)
		return m[1] + strings.ToUpper(m[2]) + humps.ReplaceAllString(m[3], "$1 $2") + ":"
	}))
}
