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
func (p *page) containers(heading string, all []corev1.Container, statuses []corev1.ContainerStatus) {
	if len(all) == 0 {
		return
	}
	p.line("%s:", heading)
	for _, c := range all {
		i := slices.IndexFunc(statuses, func(s corev1.ContainerStatus) bool { return s.Name == c.Name })
		p.item(c.Name, func() { p.container(c, statuses, i) })
	}
}

func (p *page) container(c corev1.Container, statuses []corev1.ContainerStatus, i int) {
	head := []any{"Image", c.Image}
	if i >= 0 {
		head = []any{"Container ID", statuses[i].ContainerID, "Image", c.Image, "Image ID", statuses[i].ImageID}
	}
	p.rows(head...)
	p.ports(c.Ports)
	p.words("Command", c.Command)
	p.words("Args", c.Args)
	if i >= 0 {
		p.containerStatus(statuses[i])
	}
	if len(c.Resources.Limits) > 0 {
		p.resources("Limits", c.Resources.Limits)
	}
	if len(c.Resources.Requests) > 0 {
		p.resources("Requests", c.Resources.Requests)
	}
	p.rows("Liveness?", probed(c.LivenessProbe), "Readiness?", probed(c.ReadinessProbe), "Startup?", probed(c.StartupProbe))
	p.environment(c)
	p.parts("Mounts", len(c.VolumeMounts), func(i int) { p.line("%s", mount(c.VolumeMounts[i])) })
}

func (p *page) containerStatus(s corev1.ContainerStatus) {
	p.state("State", s.State)
	if s.LastTerminationState.Terminated != nil {
		p.state("Last State", s.LastTerminationState)
	}
	p.rows("Ready", title(s.Ready), "Restart Count", s.RestartCount)
}

func (p *page) state(label string, s corev1.ContainerState) {
	switch t := s.Terminated; {
	case s.Running != nil:
		p.rows(label, "Running", "  Started", s.Running.StartedAt)
	case t != nil:
		p.rows(label, "Terminated", "  Reason?", t.Reason, "  Message?", oneLine(t.Message), "  Exit Code", t.ExitCode, "  Signal?", t.Signal,
			"  Started", t.StartedAt, "  Finished", t.FinishedAt)
	case s.Waiting != nil:
		p.rows(label, "Waiting", "  Reason?", s.Waiting.Reason)
	default:
		p.rows(label, "Waiting")
	}
}

func (p *page) ports(all []corev1.ContainerPort) {
	var inside, outside []string
	for _, port := range all {
		text := fmt.Sprintf("%d/%s", port.ContainerPort, port.Protocol)
		if port.Name != "" {
			text += " (" + port.Name + ")"
		}
		inside = append(inside, text)
		outside = append(outside, fmt.Sprintf("%d/%s", port.HostPort, port.Protocol))
	}
	s := ""
	if len(all) > 1 {
		s = "s"
	}
	p.rows("Port"+s, inside, "Host Port"+s, outside)
}

// words writes a command as its author did, a word (or a line of one) each.
func (p *page) words(heading string, words []string) {
	if len(words) > 0 {
		lines := strings.Split(strings.TrimRight(strings.Join(words, "\n"), "\n"), "\n")
		p.parts(heading, len(lines), func(i int) { p.line("%s", lines[i]) })
	}
}

func (p *page) resources(heading string, list corev1.ResourceList) {
	p.in(heading+":", func() {
		for _, name := range slices.Sorted(maps.Keys(list)) {
			quantity := list[name]
			p.rows(string(name), quantity.String())
		}
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

func (p *page) environment(c corev1.Container) {
	if len(c.EnvFrom) > 0 {
		p.parts("Environment Variables from", len(c.EnvFrom), func(i int) {
			switch e := c.EnvFrom[i]; {
			case e.ConfigMapRef != nil:
				p.line("%s\tConfigMap\tOptional: %t", e.ConfigMapRef.Name, valueOr(e.ConfigMapRef.Optional, false))
			case e.SecretRef != nil:
				p.line("%s\tSecret\tOptional: %t", e.SecretRef.Name, valueOr(e.SecretRef.Optional, false))
			}
		})
	}
	p.parts("Environment", len(c.Env), func(i int) { p.rows(c.Env[i].Name, valueOf(c.Env[i])) })
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
