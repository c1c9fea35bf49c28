package describe

import (
	"context"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (p *page) head(o metav1.Object) {
	p.line("Name:\t%s", o.GetName())
	p.line("Namespace:\t%s", o.GetNamespace())
	p.labels("Labels", o.GetLabels())
	p.annotations(o.GetAnnotations())
}

func configMap(_ context.Context, _ Cluster, p *page, m *corev1.ConfigMap) {
	p.head(m)
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
func secret(_ context.Context, _ Cluster, p *page, s *corev1.Secret) {
	p.head(s)
	p.line("\nType:  %s", s.Type)
	p.line("\nData\n====")
	keys := slices.Sorted(maps.Keys(s.Data))
	width := 0
	for _, key := range keys {
		width = max(width, len(key))
	}
	for _, key := range keys {
		p.line("%s:%s  %d bytes", key, strings.Repeat(" ", width-len(key)), len(s.Data[key]))
	}
}
