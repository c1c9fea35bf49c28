package kinds

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	protocol = oneOf(corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
	sysctl   = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)
)

// podChecks are the faults of a pod as a whole, and of a template of pods.
var podChecks = []rule{
	fields[corev1.PodSpec]("restartPolicy", oneOf(corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)),
	fields[corev1.PodSpec]("dnsPolicy", oneOf(corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)),
	fields[corev1.PodSpec]("preemptionPolicy", oneOf(corev1.PreemptLowerPriority, corev1.PreemptNever)),
	fields[corev1.PodSpec]("serviceAccountName nodeName priorityClassName runtimeClassName schedulerName", optional(subdomain)),
	fields[corev1.PodSpec]("hostname subdomain", optional(label)),
	fields[corev1.PodSpec]("nodeSelector", labelSet),
	fields[corev1.PodSpec]("activeDeadlineSeconds", between(1, math.MaxInt32, validation.InclusiveRangeError(1, math.MaxInt32))),
	fields[corev1.PodSpec]("containers", required()),
	fields[corev1.PodSpec]("volumes", distinct("name", func(v corev1.Volume) string { return v.Name })),
	fields[corev1.PodSpec]("overhead", some(resourceAmounts)),
	fields[corev1.PodSpec]("schedulingGates", distinct("name", func(g corev1.PodSchedulingGate) string { return g.Name })),
	fields[corev1.PodReadinessGate]("conditionType", qualified),
	each(func(at *field.Path, g *corev1.PodSchedulingGate) field.ErrorList {
		return append(when(g.Name == "", field.Required(at, "")), optional(qualified)(at, reflect.ValueOf(g.Name))...)
	}),
	each(initContainersEnd), each(containersShare), each(podResources),
	missing("dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None", func(s *corev1.PodSpec) bool { return s.DNSPolicy == corev1.DNSNone && s.DNSConfig == nil }),
	missing("dnsConfig.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None", func(s *corev1.PodSpec) bool {
		return s.DNSPolicy == corev1.DNSNone && s.DNSConfig != nil && len(s.DNSConfig.Nameservers) == 0
	}),
	wrong("securityContext.shareProcessNamespace", "ShareProcessNamespace and HostPID cannot both be enabled", func(s *corev1.PodSpec) (any, bool) {
		return true, s.HostPID && deref(s.ShareProcessNamespace)
	}),
	forbidden("spec.ephemeralContainers", "cannot be set on create", func(p *corev1.Pod) bool { return len(p.Spec.EphemeralContainers) > 0 }),
	forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared", func(p *corev1.Pod) bool { return len(p.Spec.SchedulingGates) > 0 && p.Spec.NodeName != "" }),
	fields[corev1.PodStatus]("nominatedNodeName", optional(subdomain)),
	fields[corev1.PodStatus]("podIPs", distinct("", func(ip corev1.PodIP) string { return ip.IP })),

	fields[corev1.PodOS]("name", oneOf(corev1.Linux, corev1.Windows)),
	fields[corev1.PodDNSConfig]("nameservers", atMost(3), every(ip)),
	fields[corev1.PodDNSConfig]("searches", atMost(32), every(some(func(at *field.Path, s string) field.ErrorList {
		s = strings.TrimSuffix(s, ".")
		return invalid(at, s, validation.IsDNS1123SubdomainWithUnderscore(orElse(s, "root")))
	}))),
	missing("", "must not be empty", func(o *corev1.PodDNSConfigOption) bool { return o.Name == "" }),
	fields[corev1.HostAlias]("ip", ip),
	fields[corev1.HostAlias]("hostnames", every(subdomain)),

	fields[corev1.PodSecurityContext]("runAsUser runAsGroup fsGroup", userID),
	fields[corev1.PodSecurityContext]("supplementalGroups", every(userID)),
	fields[corev1.PodSecurityContext]("supplementalGroupsPolicy", oneOf(corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)),
	fields[corev1.PodSecurityContext]("fsGroupChangePolicy", oneOf(corev1.FSGroupChangeOnRootMismatch, corev1.FSGroupChangeAlways)),
	fields[corev1.PodSecurityContext]("sysctls", distinct("name", func(s corev1.Sysctl) string { return s.Name })),
	fields[corev1.Sysctl]("name", required(text(func(name string) []string {
		if len(name) > 253 || !sysctl.MatchString(name) {
			return []string{"must have at most 253 characters and look like kernel.shm_rmid_forced"}
		}
		return nil
	}))),
	fields[corev1.SeccompProfile]("type", oneOf(corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)),
	fields[corev1.AppArmorProfile]("type", oneOf(corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)),
	fields[corev1.SeccompProfile]("localhostProfile", inside),
	each(func(at *field.Path, s *corev1.SeccompProfile) field.ErrorList {
		return localProfile(at, "seccomp", s.Type == corev1.SeccompProfileTypeLocalhost, s.LocalhostProfile)
	}),
	each(func(at *field.Path, a *corev1.AppArmorProfile) field.ErrorList {
		return localProfile(at, "AppArmor", a.Type == corev1.AppArmorProfileTypeLocalhost, a.LocalhostProfile)
	}),
}

// localProfile: a profile of the node's own is named exactly when the type says so.
func localProfile(at *field.Path, what string, local bool, name *string) field.ErrorList {
	at = at.Child("localhostProfile")
	return append(when(local && deref(name) == "", field.Required(at, "must be set when "+what+" type is Localhost")),
		when(!local && name != nil, field.Invalid(at, name, "can only be set when "+what+" type is Localhost"))...)
}

// initContainersEnd: what runs to its end before the others start is never ready or alive, only done.
func initContainersEnd(at *field.Path, s *corev1.PodSpec) (faults field.ErrorList) {
	for i := range s.InitContainers {
		c := &s.InitContainers[i]
		if isSidecar(c) {
			continue
		}
		for name, set := range map[string]bool{"lifecycle": c.Lifecycle != nil, "livenessProbe": c.LivenessProbe != nil,
			"readinessProbe": c.ReadinessProbe != nil, "startupProbe": c.StartupProbe != nil} {
			faults = append(faults, when(set, field.Forbidden(at.Child("initContainers").Index(i).Child(name), "may not be set for init containers without restartPolicy=Always"))...)
		}
	}
	return faults
}

// containersShare checks what a pod's containers have in common: one set of names, the pod's volumes, its time to end and its node's ports.
func containersShare(at *field.Path, s *corev1.PodSpec) (faults field.ErrorList) {
	names, volumes, ports := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, v := range s.Volumes {
		volumes[v.Name] = true
	}
	one := func(c *corev1.Container, at *field.Path) {
		faults = append(faults, when(c.Name != "" && names[c.Name], field.Duplicate(at.Child("name"), c.Name))...)
		names[c.Name] = true
		for i, m := range c.VolumeMounts {
			faults = append(faults, when(!volumes[m.Name], field.NotFound(at.Child("volumeMounts").Index(i).Child("name"), m.Name))...)
		}
		for i, d := range c.VolumeDevices {
			faults = append(faults, when(d.Name != "" && !volumes[d.Name], field.NotFound(at.Child("volumeDevices").Index(i).Child("name"), d.Name))...)
		}
		for i, p := range c.Ports {
			faults = append(faults, hostPort(at.Child("ports").Index(i), p, s.HostNetwork, ports)...)
		}
		faults = append(faults, hooksEnd(at.Child("lifecycle"), c.Lifecycle, deref(s.TerminationGracePeriodSeconds))...)
	}
	for i := range s.Containers {
		one(&s.Containers[i], at.Child("containers").Index(i))
	}
	for i := range s.InitContainers {
		clear(ports) // they run one after another, and may use the same ports
		one(&s.InitContainers[i], at.Child("initContainers").Index(i))
	}
	return faults
}

func hostPort(at *field.Path, p corev1.ContainerPort, hostNetwork bool, taken map[string]bool) (faults field.ErrorList) {
	faults = when(hostNetwork && p.HostPort != p.ContainerPort, field.Invalid(at.Child("containerPort"), p.ContainerPort, "must match `hostPort` when `hostNetwork` is true"))
	if p.HostPort == 0 {
		return faults
	}
	use := fmt.Sprintf("%d/%s/%s", p.HostPort, p.HostIP, p.Protocol)
	faults = append(faults, when(taken[use], field.Duplicate(at.Child("hostPort"), use))...)
	taken[use] = true
	return faults
}

func hooksEnd(at *field.Path, l *corev1.Lifecycle, grace int64) (faults field.ErrorList) {
	if l == nil {
		return nil
	}
	for name, h := range map[string]*corev1.LifecycleHandler{"postStart": l.PostStart, "preStop": l.PreStop} {
		if h != nil && h.Sleep != nil {
			faults = append(faults, between(0, grace, fmt.Sprintf("must be non-negative and at most terminationGracePeriodSeconds (%d)", grace))(at.Child(name, "sleep"), reflect.ValueOf(h.Sleep.Seconds))...)
		}
	}
	return faults
}

// templateChecks are the faults of what pods are made from.
func templateChecks(at *field.Path, t *corev1.PodTemplateSpec) field.ErrorList {
	faults := append(labelSet(at.Child("labels"), reflect.ValueOf(t.Labels)), apivalidation.ValidateAnnotations(t.Annotations, at.Child("annotations"))...)
	return append(faults, when(len(t.Spec.EphemeralContainers) > 0, field.Forbidden(at.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template"))...)
}

// runsForEver: what is replaced when it ends must be meant to run for ever.
func runsForEver(at *field.Path, t *corev1.PodTemplateSpec) field.ErrorList {
	spec := at.Child("spec")
	faults := when(t.Spec.RestartPolicy != corev1.RestartPolicyAlways, field.NotSupported(spec.Child("restartPolicy"), t.Spec.RestartPolicy, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	return append(faults, when(t.Spec.ActiveDeadlineSeconds != nil, field.Forbidden(spec.Child("activeDeadlineSeconds"), "a pod that is replaced when it ends cannot have a deadline"))...)
}
