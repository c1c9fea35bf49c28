package describe

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

func (p *page) volumes(all []corev1.Volume) {
	if len(all) == 0 {
		p.line("Volumes:\t<none>")
		return
	}
	p.line("Volumes:")
	for _, v := range all {
		p.item(v.Name, func() { p.volume(v.VolumeSource) })
	}
}

// volume describes the sources that this version mounts; others are only named.
func (p *page) volume(v corev1.VolumeSource) {
	switch {
	case v.EmptyDir != nil:
		p.line("Type:\tEmptyDir (a temporary directory that shares a pod's lifetime)")
		p.line("Medium:\t%s", v.EmptyDir.Medium)
		size := "<unset>"
		if v.EmptyDir.SizeLimit != nil {
			size = v.EmptyDir.SizeLimit.String()
		}
		p.line("SizeLimit:\t%s", size)
	case v.HostPath != nil:
		p.line("Type:\tHostPath (bare host directory volume)")
		p.line("Path:\t%s", v.HostPath.Path)
		p.line("HostPathType:\t%s", string(valueOr(v.HostPath.Type, "")))
	case v.ConfigMap != nil:
		p.line("Type:\tConfigMap (a volume populated by a ConfigMap)")
		p.line("Name:\t%s", v.ConfigMap.Name)
		p.line("Optional:\t%t", valueOr(v.ConfigMap.Optional, false))
	case v.Secret != nil:
		p.line("Type:\tSecret (a volume populated by a Secret)")
		p.line("SecretName:\t%s", v.Secret.SecretName)
		p.line("Optional:\t%t", valueOr(v.Secret.Optional, false))
	case v.Projected != nil:
		p.line("Type:\tProjected (a volume that contains injected data from multiple sources)")
		p.projections(v.Projected.Sources)
	case v.DownwardAPI != nil:
		p.line("Type:\tDownwardAPI (a volume populated by information about the pod)")
	default:
		p.line("Type:\t<unknown>")
	}
}

func (p *page) projections(sources []corev1.VolumeProjection) {
	for _, s := range sources {
		switch {
		case s.ConfigMap != nil:
			p.line("ConfigMapName:\t%s", s.ConfigMap.Name)
		case s.Secret != nil:
			p.line("SecretName:\t%s", s.Secret.Name)
		case s.DownwardAPI != nil:
			p.line("DownwardAPI:\ttrue")
		case s.ServiceAccountToken != nil:
			p.line("TokenExpirationSeconds:\t%s", fmt.Sprint(valueOr(s.ServiceAccountToken.ExpirationSeconds, 0)))
		}
	}
}
