package describe

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// containers describes a pod's (or, without statuses, a template's) containers.
func containers(all []corev1.Container, statuses []corev1.ContainerStatus) (p parts) {
	for _, c := range all {
		head, status := rows{"Image", c.Image}, rows(nil)
		if i := slices.IndexFunc(statuses, func(s corev1.ContainerStatus) bool { return s.Name == c.Name }); i >= 0 {
			s := statuses[i]
			head = rows{"Container ID", s.ContainerID, "Image", c.Image, "Image ID", s.ImageID}
			status = slices.Concat(state("State", s.State), lastState(s.LastTerminationState),
				rows{"Ready", map[bool]string{true: "True", false: "False"}[s.Ready], "Restart Count", s.RestartCount})
		}
		p = append(p, part{c.Name, slices.Concat(head, ports(c.Ports), rows{"Command?", words(c.Command), "Args?", words(c.Args)}, status, rows{
			"Limits?", resources(c.Resources.Limits), "Requests?", resources(c.Resources.Requests),
			"Liveness?", probed(c.LivenessProbe), "Readiness?", probed(c.ReadinessProbe), "Startup?", probed(c.StartupProbe),
			"Environment Variables from?", below(texts(c.EnvFrom, fromWhere)),
			"Environment", each(c.Env, func(e corev1.EnvVar) rows { return rows{e.Name, valueOf(e)} }),
			"Mounts", below(texts(c.VolumeMounts, mount)),
		})})
	}
	return p
}

func state(label string, s corev1.ContainerState) rows {
	switch t := s.Terminated; {
	case s.Running != nil:
		return rows{label, "Running", "  Started", s.Running.StartedAt}
	case t != nil:
		return rows{label, "Terminated", "  Reason?", t.Reason, "  Message?", oneLine(t.Message), "  Exit Code", t.ExitCode, "  Signal?", t.Signal,
			"  Started", t.StartedAt, "  Finished", t.FinishedAt}
	case s.Waiting != nil:
		return rows{label, "Waiting", "  Reason?", s.Waiting.Reason}
	}
	return rows{label, "Waiting"}
}

func lastState(s corev1.ContainerState) rows {
	if s.Terminated == nil {
		return nil
	}
	return state("Last State", s)
}

func ports(all []corev1.ContainerPort) rows {
	s := ""
	if len(all) > 1 {
		s = "s"
	}
	return rows{"Port" + s, texts(all, func(p corev1.ContainerPort) string {
		if p.Name != "" {
			return fmt.Sprintf("%d/%s (%s)", p.ContainerPort, p.Protocol, p.Name)
		}
		return fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol)
	}), "Host Port" + s, texts(all, func(p corev1.ContainerPort) string { return fmt.Sprintf("%d/%s", p.HostPort, p.Protocol) })}
}

// words are a command as its author wrote it, a word (or a line of one) each.
func words(all []string) below {
	if len(all) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(strings.Join(all, "\n"), "\n"), "\n")
}

func resources(list corev1.ResourceList) rows {
	return each(slices.Sorted(maps.Keys(list)), func(name corev1.ResourceName) rows {
		quantity := list[name]
		return rows{string(name), quantity.String()}
	})
}

func probed(p *corev1.Probe) string {
	how := "unknown"
	switch {
	case p == nil:
		return ""
	case p.Exec != nil:
		how = fmt.Sprintf("exec %v", p.Exec.Command)
	case p.HTTPGet != nil:
		how = fmt.Sprintf("http-get %s://%s:%s%s", strings.ToLower(string(p.HTTPGet.Scheme)), p.HTTPGet.Host, p.HTTPGet.Port.String(), p.HTTPGet.Path)
	case p.TCPSocket != nil:
		how = fmt.Sprintf("tcp-socket %s:%s", p.TCPSocket.Host, p.TCPSocket.Port.String())
	case p.GRPC != nil:
		how = fmt.Sprintf("grpc <pod>:%d %s", p.GRPC.Port, valueOr(p.GRPC.Service, ""))
	}
	return fmt.Sprintf("%s delay=%ds timeout=%ds period=%ds #success=%d #failure=%d", how,
		p.InitialDelaySeconds, p.TimeoutSeconds, p.PeriodSeconds, p.SuccessThreshold, p.FailureThreshold)
}

func fromWhere(e corev1.EnvFromSource) string {
	switch {
	case e.ConfigMapRef != nil:
		return fmt.Sprintf("%s\tConfigMap\tOptional: %t", e.ConfigMapRef.Name, valueOr(e.ConfigMapRef.Optional, false))
	case e.SecretRef != nil:
		return fmt.Sprintf("%s\tSecret\tOptional: %t", e.SecretRef.Name, valueOr(e.SecretRef.Optional, false))
	}
	return ""
}

func valueOf(e corev1.EnvVar) string {
	from := e.ValueFrom
	switch {
	case from == nil:
		return oneLine(e.Value)
	case from.FieldRef != nil:
		return fmt.Sprintf(" (%s:%s)", cmp.Or(from.FieldRef.APIVersion, "v1"), from.FieldRef.FieldPath)
	case from.ResourceFieldRef != nil:
		return fmt.Sprintf(" (%s)", from.ResourceFieldRef.Resource)
	case from.SecretKeyRef != nil:
		return fmt.Sprintf("<set to the key '%s' in secret '%s'>\tOptional: %t", from.SecretKeyRef.Key, from.SecretKeyRef.Name, valueOr(from.SecretKeyRef.Optional, false))
	case from.ConfigMapKeyRef != nil:
		return fmt.Sprintf("<set to the key '%s' of config map '%s'>\tOptional: %t", from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Name, valueOr(from.ConfigMapKeyRef.Optional, false))
	}
	return ""
}

func mount(m corev1.VolumeMount) string {
	flags := "rw"
	if m.ReadOnly {
		flags = "ro"
	}
	if m.SubPath != "" {
		flags += fmt.Sprintf(",path=%q", m.SubPath)
	}
	return fmt.Sprintf("%s from %s (%s)", m.MountPath, m.Name, flags)
}
