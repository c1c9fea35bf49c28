package describe

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

func namespace(_ context.Context, _ Cluster, n *corev1.Namespace) rows {
	return slices.Concat(rows{"Name", n.Name}, marks(n), rows{"Status", n.Status.Phase,
		"Conditions?", table("Type\tStatus\tLastTransitionTime\tReason\tMessage", n.Status.Conditions, func(c corev1.NamespaceCondition) []string {
			return []string{string(c.Type), string(c.Status), inWords(c.LastTransitionTime), c.Reason, c.Message}
		})})
}

func configMap(_ context.Context, _ Cluster, m *corev1.ConfigMap) rows {
	text := "\nData\n====\n"
	for _, key := range slices.Sorted(maps.Keys(m.Data)) {
		text += fmt.Sprintf("%s:\n----\n%s\n\n", key, m.Data[key])
	}
	text += "\nBinaryData\n====\n"
	for _, key := range slices.Sorted(maps.Keys(m.BinaryData)) {
		text += fmt.Sprintf("%s: %d bytes\n", key, len(m.BinaryData[key]))
	}
	return slices.Concat(rows{"Name", m.Name, "Namespace", m.Namespace}, marks(m), rows{"", raw(text + "\n")})
}

// secret tells the sizes only.
func secret(_ context.Context, _ Cluster, s *corev1.Secret) rows {
	text := fmt.Sprintf("\nType:  %s\n\nData\n====\n", s.Type)
	width := 0
	for key := range s.Data {
		width = max(width, len(key)+1)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Data)) {
		text += fmt.Sprintf("%-*s  %d bytes\n", width, key+":", len(s.Data[key]))
	}
	return slices.Concat(rows{"Name", s.Name, "Namespace", s.Namespace}, marks(s), rows{"", raw(text)})
}

var (
	field = regexp.MustCompile(`(?m)^([ -]*)([a-zA-Z])([a-zA-Z]*):`)
	humps = regexp.MustCompile(`([a-z])([A-Z])`)
)

// fieldByField describes any object as YAML with labels for names: "leaseDurationSeconds: 40" as "Lease Duration Seconds: 40". kubectl does so
// for custom resources.
func fieldByField(k *api.Kind, o api.Object) rows {
	bare := o.DeepCopyObject().(api.Object)
	bare.SetManagedFields(nil)
	bare.SetLabels(nil)
	bare.SetAnnotations(nil)
	text, err := yaml.Marshal(bare)
	if err != nil {
		text = []byte(err.Error() + "\n")
	}
	words := field.ReplaceAllStringFunc(string(text), func(name string) string {
		m := field.FindStringSubmatch(name)
		return m[1] + strings.ToUpper(m[2]) + humps.ReplaceAllString(m[3], "$1 $2") + ":"
	})
	return slices.Concat(rows{"Name", o.GetName(), "Namespace", o.GetNamespace()}, marks(o),
		rows{"API Version", k.GVK("").GroupVersion(), "Kind", k.Name, "", raw(words)})
}
