package kinds

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// pod is what a container's check must know of the pod around it.
type pod struct {
	spec      *corev1.PodSpec
	volumes   map[string]*corev1.Volume
	names     map[string]bool // of containers seen so far, of whatever sort
	hostPorts map[string]bool
}

func validateContainers(s *corev1.PodSpec, volumes map[string]*corev1.Volume, p *field.Path) (faults field.ErrorList) {
	around := &pod{spec: s, volumes: volumes, names: map[string]bool{}, hostPorts: map[string]bool{}}
	containers := p.Child("containers")
	if len(s.Containers) == 0 {
		faults = append(faults, field.Required(containers, ""))
	}
	for i := range s.Containers {
		faults = append(faults, around.container(&s.Containers[i], containers.Index(i))...)
		faults = append(faults, around.validatePorts(&s.Containers[i], containers.Index(i).Child("ports"))...)
		faults = append(faults, around.validateUpkeep(&s.Containers[i], containers.Index(i))...)
	}
	for i := range s.InitContainers {
		c, at := &s.InitContainers[i], p.Child("initContainers").Index(i)
		around.hostPorts = map[string]bool{} // they run one after another, and may use the same ports
		faults = append(faults, around.container(c, at)...)
		faults = append(faults, around.validatePorts(c, at.Child("ports"))...)
		if isSidecar(c) {
			faults = append(faults, around.validateUpkeep(c, at)...)
		} else {
			faults = append(faults, validateInitContainer(c, at)...)
		}
	}
	for i := range s.EphemeralContainers {
		c := corev1.Container(s.EphemeralContainers[i].EphemeralContainerCommon)
		faults = append(faults, around.container(&c, p.Child("ephemeralContainers").Index(i))...)
	}
	return faults
}

// container is the check that all sorts of containers share.
func (around *pod) container(c *corev1.Container, p *field.Path) (faults field.ErrorList) {
	faults = label(p.Child("name"), c.Name)
	if around.names[c.Name] && c.Name != "" {
		faults = append(faults, field.Duplicate(p.Child("name"), c.Name))
	}
	around.names[c.Name] = true
	faults = append(faults, validateImage(c.Image, p.Child("image"))...)
	faults = append(faults, oneOf(p.Child("imagePullPolicy"), c.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	faults = append(faults, oneOf(p.Child("terminationMessagePolicy"), c.TerminationMessagePolicy, corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)...)
	faults = append(faults, validateEnv(c.Env, p.Child("env"))...)
	faults = append(faults, validateEnvFrom(c.EnvFrom, p.Child("envFrom"))...)
	faults = append(faults, around.validateMounts(c, p.Child("volumeMounts"))...)
	faults = append(faults, around.validateDevices(c, p)...)
	faults = append(faults, validateResources(&c.Resources, p.Child("resources"))...)
	faults = append(faults, validateRestart(c, p)...)
	faults = append(faults, validateResizePolicy(c.ResizePolicy, p.Child("resizePolicy"))...)
	return append(faults, validateSecurity(c.SecurityContext, around.spec, p.Child("securityContext"))...)
}

func validateImage(image string, p *field.Path) field.ErrorList {
	switch {
	case image == "":
		return field.ErrorList{field.Required(p, "")}
	case image != strings.TrimSpace(image):
		return field.ErrorList{field.Invalid(p, image, "must not have leading or trailing whitespace")}
	}
	return nil
}

// validateUpkeep checks what is done to a container while it runs.
func (around *pod) validateUpkeep(c *corev1.Container, p *field.Path) field.ErrorList {
	return append(validateProbes(c, p), validateLifecycle(c.Lifecycle, deref(around.spec.TerminationGracePeriodSeconds), p.Child("lifecycle"))...)
}

// validateInitContainer: what runs to its end before the others start is never ready or alive, only done.
func validateInitContainer(c *corev1.Container, p *field.Path) (faults field.ErrorList) {
	for _, part := range []struct {
		name string
		set  bool
	}{
		{"lifecycle", c.Lifecycle != nil}, {"livenessProbe", c.LivenessProbe != nil},
		{"readinessProbe", c.ReadinessProbe != nil}, {"startupProbe", c.StartupProbe != nil},
	} {
		if part.set {
			faults = append(faults, field.Forbidden(p.Child(part.name), "may not be set for init containers without restartPolicy=Always"))
		}
	}
	return faults
}

func (around *pod) validatePorts(c *corev1.Container, p *field.Path) (faults field.ErrorList) {
	names := map[string]bool{}
	for i, cp := range c.Ports {
		at := p.Index(i)
		if cp.Name != "" {
			bad := invalid(at.Child("name"), cp.Name, validation.IsValidPortName(cp.Name))
			if len(bad) == 0 && names[cp.Name] {
				bad = field.ErrorList{field.Duplicate(at.Child("name"), cp.Name)}
			}
			names[cp.Name] = true
			faults = append(faults, bad...)
		}
		if cp.ContainerPort == 0 {
			faults = append(faults, field.Required(at.Child("containerPort"), ""))
		} else {
			faults = append(faults, port(at.Child("containerPort"), int(cp.ContainerPort))...)
		}
		faults = append(faults, oneOf(at.Child("protocol"), cp.Protocol, protocols...)...)
		faults = append(faults, around.validateHostPort(cp, at)...)
	}
	return faults
}

func (around *pod) validateHostPort(cp corev1.ContainerPort, p *field.Path) (faults field.ErrorList) {
	if around.spec.HostNetwork && cp.HostPort != cp.ContainerPort {
		faults = append(faults, field.Invalid(p.Child("containerPort"), cp.ContainerPort, "must match `hostPort` when `hostNetwork` is true"))
	}
	if cp.HostPort == 0 {
		return faults
	}
	faults = append(faults, port(p.Child("hostPort"), int(cp.HostPort))...)
	use := fmt.Sprintf("%d/%s/%s", cp.HostPort, cp.HostIP, cp.Protocol)
	if around.hostPorts[use] {
		faults = append(faults, field.Duplicate(p.Child("hostPort"), use))
	}
	around.hostPorts[use] = true
	return faults
}

const (
	maxRestartRules  = 20
	maxRestartValues = 255
)

// validateRestart: a container may override its pod's restartPolicy, with exceptions by exit code.
func validateRestart(c *corev1.Container, p *field.Path) (faults field.ErrorList) {
	at := p.Child("restartPolicy")
	faults = optionalOneOf(at, c.RestartPolicy, corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)
	if len(c.RestartPolicyRules) == 0 {
		return faults
	}
	rules := p.Child("restartPolicyRules")
	if c.RestartPolicy == nil {
		faults = append(faults, field.Required(at, "must specify restartPolicy when restart rules are used"))
	}
	if len(c.RestartPolicyRules) > maxRestartRules {
		faults = append(faults, field.TooMany(rules, len(c.RestartPolicyRules), maxRestartRules))
	}
	for i, r := range c.RestartPolicyRules {
		faults = append(faults, validateRestartRule(r, rules.Index(i))...)
	}
	return faults
}

func validateRestartRule(r corev1.ContainerRestartRule, p *field.Path) field.ErrorList {
	faults := oneOf(p.Child("action"), r.Action, corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)
	codes := p.Child("exitCodes")
	if r.ExitCodes == nil {
		return append(faults, field.Required(codes, "must be specified"))
	}
	faults = append(faults, oneOf(codes.Child("operator"), r.ExitCodes.Operator, corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)...)
	if n := len(r.ExitCodes.Values); n == 0 || n > maxRestartValues {
		faults = append(faults, field.Invalid(codes.Child("values"), r.ExitCodes.Values, "must have at least 1 and at most 255 exit codes"))
	}
	return faults
}

func validateResizePolicy(policies []corev1.ContainerResizePolicy, p *field.Path) (faults field.ErrorList) {
	seen := map[corev1.ResourceName]bool{}
	for i, r := range policies {
		at := p.Index(i)
		if seen[r.ResourceName] {
			faults = append(faults, field.Duplicate(at, r.ResourceName))
		}
		seen[r.ResourceName] = true
		faults = append(faults, oneOf(at.Child("resourceName"), r.ResourceName, corev1.ResourceCPU, corev1.ResourceMemory)...)
		faults = append(faults, oneOf(at.Child("restartPolicy"), r.RestartPolicy, corev1.NotRequired, corev1.RestartContainer)...)
	}
	return faults
}
