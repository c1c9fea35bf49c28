package describe

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// containers describes a pod's (or, without statuses, a template's) containers.
func (p *page) containers(label string, all []corev1.Container, statuses []corev1.ContainerStatus) {
	if len(all) == 0 {
		return
	}
	p.line("%s:", label)
	for _, c := range all {
		p.item(c.Name, func() { p.container(c, statusOf(c.Name, statuses)) })
	}
}

func statusOf(name string, all []corev1.ContainerStatus) *corev1.ContainerStatus {
	i := slices.IndexFunc(all, func(s corev1.ContainerStatus) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}

func (p *page) container(c corev1.Container, status *corev1.ContainerStatus) {
	if status != nil {
		p.line("Container ID:\t%s", status.ContainerID)
	}
	p.line("Image:\t%s", c.Image)
	if status != nil {
		p.line("Image ID:\t%s", status.ImageID)
	}
	p.ports(c.Ports)
	p.words("Command", c.Command)
	p.words("Args", c.Args)
	if status != nil {
		p.containerStatus(status)
	}
	p.resources("Limits", c.Resources.Limits)
	p.resources("Requests", c.Resources.Requests)
	p.probe("Liveness", c.LivenessProbe)
	p.probe("Readiness", c.ReadinessProbe)
	p.probe("Startup", c.StartupProbe)
	p.environmentFrom(c.EnvFrom)
	p.environment(c.Env)
	p.mounts(c.VolumeMounts)
}

func (p *page) containerStatus(s *corev1.ContainerStatus) {
	p.state("State", s.State)
	if s.LastTerminationState.Terminated != nil {
		p.state("Last State", s.LastTerminationState)
	}
	p.line("Ready:\t%s", title(s.Ready))
	p.line("Restart Count:\t%d", s.RestartCount)
}

func (p *page) state(label string, s corev1.ContainerState) {
	switch {
	case s.Running != nil:
		p.line("%s:\tRunning", label)
		p.line("  Started:\t%s", date(s.Running.StartedAt))
	case s.Terminated != nil:
		p.terminated(label, s.Terminated)
	default:
		p.line("%s:\tWaiting", label)
		if s.Waiting != nil && s.Waiting.Reason != "" {
			p.line("  Reason:\t%s", s.Waiting.Reason)
		}
	}
}

func (p *page) terminated(label string, t *corev1.ContainerStateTerminated) {
	p.line("%s:\tTerminated", label)
	if t.Reason != "" {
		p.line("  Reason:\t%s", t.Reason)
	}
	if t.Message != "" {
		p.line("  Message:\t%s", oneLine(t.Message))
	}
	p.line("  Exit Code:\t%d", t.ExitCode)
	if t.Signal > 0 {
		p.line("  Signal:\t%d", t.Signal)
	}
	p.line("  Started:\t%s", date(t.StartedAt))
	p.line("  Finished:\t%s", date(t.FinishedAt))
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
	p.line("Port%s:\t%s", s, listOrNone(inside))
	p.line("Host Port%s:\t%s", s, listOrNone(outside))
}

func (p *page) words(label string, words []string) {
	if len(words) == 0 {
		return
	}
	p.line("%s:", label)
	p.in(func() {
		for _, word := range words {
			for line := range strings.Lines(word) {
				p.line("%s", strings.TrimRight(line, "\n"))
			}
		}
	})
}

func (p *page) resources(label string, list corev1.ResourceList) {
	if len(list) == 0 {
		return
	}
	p.line("%s:", label)
	p.in(func() {
		for _, name := range resourceNames(list) {
			quantity := list[name]
			p.line("%s:\t%s", name, quantity.String())
		}
	})
}

func resourceNames(list corev1.ResourceList) []corev1.ResourceName {
	var names []corev1.ResourceName
	for name := range list {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (p *page) probe(label string, probe *corev1.Probe) {
	if probe == nil {
		return
	}
	p.line("%s:\t%s delay=%ds timeout=%ds period=%ds #success=%d #failure=%d", label, probed(probe),
		probe.InitialDelaySeconds, probe.TimeoutSeconds, probe.PeriodSeconds, probe.SuccessThreshold, probe.FailureThreshold)
}

func probed(p *corev1.Probe) string {
	switch {
	case p.Exec != nil:
		return fmt.Sprintf("exec %v", p.Exec.Command)
	case p.HTTPGet != nil:
		return fmt.Sprintf("http-get %s://%s:%s%s", strings.ToLower(string(p.HTTPGet.Scheme)), p.HTTPGet.Host, p.HTTPGet.Port.String(), p.HTTPGet.Path)
	case p.TCPSocket != nil:
		return fmt.Sprintf("tcp-socket %s:%s", p.TCPSocket.Host, p.TCPSocket.Port.String())
	case p.GRPC != nil:
		return fmt.Sprintf("grpc <pod>:%d %s", p.GRPC.Port, valueOr(p.GRPC.Service, ""))
	}
	return "unknown"
}

func (p *page) environmentFrom(all []corev1.EnvFromSource) {
	if len(all) == 0 {
		return
	}
	p.line("Environment Variables from:")
	p.in(func() {
		for _, e := range all {
			switch {
			case e.ConfigMapRef != nil:
				p.line("%s\tConfigMap\tOptional: %t", e.ConfigMapRef.Name, valueOr(e.ConfigMapRef.Optional, false))
			case e.SecretRef != nil:
				p.line("%s\tSecret\tOptional: %t", e.SecretRef.Name, valueOr(e.SecretRef.Optional, false))
			}
		}
	})
}

func (p *page) environment(all []corev1.EnvVar) {
	if len(all) == 0 {
		p.line("Environment:\t<none>")
		return
	}
	p.line("Environment:")
	p.in(func() {
		for _, e := range all {
			p.line("%s:\t%s", e.Name, valueOf(e))
		}
	})
}

func valueOf(e corev1.EnvVar) string {
	from := e.ValueFrom
	switch {
	case from == nil:
		return oneLine(e.Value)
	case from.FieldRef != nil:
		return fmt.Sprintf(" (%s:%s)", or(from.FieldRef.APIVersion, "v1"), from.FieldRef.FieldPath)
	case from.ResourceFieldRef != nil:
		return fmt.Sprintf(" (%s)", from.ResourceFieldRef.Resource)
	case from.SecretKeyRef != nil:
		return fmt.Sprintf("<set to the key '%s' in secret '%s'>\tOptional: %t", from.SecretKeyRef.Key, from.SecretKeyRef.Name, valueOr(from.SecretKeyRef.Optional, false))
	case from.ConfigMapKeyRef != nil:
		return fmt.Sprintf("<set to the key '%s' of config map '%s'>\tOptional: %t", from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Name, valueOr(from.ConfigMapKeyRef.Optional, false))
	}
	return ""
}

func (p *page) mounts(all []corev1.VolumeMount) {
	if len(all) == 0 {
		p.line("Mounts:\t<none>")
		return
	}
	p.line("Mounts:")
	p.in(func() {
		for _, m := range all {
			flags := []string{"rw"}
			if m.ReadOnly {
				flags[0] = "ro"
			}
			if m.SubPath != "" {
				flags = append(flags, fmt.Sprintf("path=%q", m.SubPath))
			}
			p.line("%s from %s (%s)", m.MountPath, m.Name, strings.Join(flags, ","))
		}
	})
}
