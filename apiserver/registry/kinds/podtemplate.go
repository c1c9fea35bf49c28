package kinds

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	protocols       = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	restartPolicies = []corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}
	dnsPolicies     = []corev1.DNSPolicy{corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone}
)

// validatePodSpec is the whole check of a pod, or of a template of pods.
func validatePodSpec(s *corev1.PodSpec, p *field.Path) (faults field.ErrorList) {
	volumes, faults := validateVolumes(s.Volumes, p.Child("volumes"))
	faults = append(faults, validateContainers(s, volumes, p)...)
	faults = append(faults, oneOf(p.Child("restartPolicy"), s.RestartPolicy, restartPolicies...)...)
	faults = append(faults, oneOf(p.Child("dnsPolicy"), s.DNSPolicy, dnsPolicies...)...)
	faults = append(faults, metavalidation.ValidateLabels(s.NodeSelector, p.Child("nodeSelector"))...)
	faults = append(faults, validatePodSecurity(s, p.Child("securityContext"))...)
	faults = append(faults, validateAffinity(s.Affinity, p.Child("affinity"))...)
	faults = append(faults, validateTolerations(s.Tolerations, p.Child("tolerations"))...)
	faults = append(faults, validateSpread(s.TopologySpreadConstraints, p.Child("topologySpreadConstraints"))...)
	faults = append(faults, validateGates(s, p)...)
	faults = append(faults, validateDNSConfig(s, p.Child("dnsConfig"))...)
	faults = append(faults, validateHostAliases(s.HostAliases, p.Child("hostAliases"))...)
	faults = append(faults, validatePodNames(s, p)...)
	faults = append(faults, optionalOneOf(p.Child("preemptionPolicy"), s.PreemptionPolicy, corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	faults = append(faults, validateDeadline(s.ActiveDeadlineSeconds, p.Child("activeDeadlineSeconds"))...)
	if s.OS != nil {
		faults = append(faults, oneOf(p.Child("os", "name"), s.OS.Name, corev1.Linux, corev1.Windows)...)
	}
	if s.Overhead != nil {
		faults = append(faults, validateAmounts(s.Overhead, p.Child("overhead"))...)
	}
	if s.Resources != nil {
		faults = append(faults, validatePodResources(s.Resources, p.Child("resources"))...)
	}
	return faults
}

// validatePodNames checks the fields that name something by a word of DNS. Empty means unset.
func validatePodNames(s *corev1.PodSpec, p *field.Path) (faults field.ErrorList) {
	names := []struct {
		field, value string
		check        func(string) []string
	}{
		{"serviceAccountName", s.ServiceAccountName, validation.IsDNS1123Subdomain},
		{"nodeName", s.NodeName, validation.IsDNS1123Subdomain},
		{"priorityClassName", s.PriorityClassName, validation.IsDNS1123Subdomain},
		{"runtimeClassName", deref(s.RuntimeClassName), validation.IsDNS1123Subdomain},
		{"hostname", s.Hostname, validation.IsDNS1123Label},
		{"subdomain", s.Subdomain, validation.IsDNS1123Label},
		{"schedulerName", s.SchedulerName, validation.IsDNS1123Subdomain},
	}
	for _, n := range names {
		if n.value != "" {
			faults = append(faults, invalid(p.Child(n.field), n.value, n.check(n.value))...)
		}
	}
	return faults
}

func validateDeadline(seconds *int64, p *field.Path) field.ErrorList {
	if seconds == nil || *seconds >= 1 && *seconds <= math.MaxInt32 {
		return nil
	}
	return field.ErrorList{field.Invalid(p, *seconds, validation.InclusiveRangeError(1, math.MaxInt32))}
}

// validateGates: readiness gates are conditions that somebody else sets, scheduling gates hold the scheduler off.
func validateGates(s *corev1.PodSpec, p *field.Path) (faults field.ErrorList) {
	for i, g := range s.ReadinessGates {
		faults = append(faults, invalid(p.Child("readinessGates").Index(i).Child("conditionType"), g.ConditionType, validation.IsQualifiedName(string(g.ConditionType)))...)
	}
	seen := map[string]bool{}
	for i, g := range s.SchedulingGates {
		at := p.Child("schedulingGates").Index(i)
		if seen[g.Name] {
			faults = append(faults, field.Duplicate(at.Child("name"), g.Name))
		}
		seen[g.Name] = true
		if g.Name == "" {
			faults = append(faults, field.Required(at, ""))
			continue
		}
		faults = append(faults, invalid(at, g.Name, validation.IsQualifiedName(g.Name))...)
	}
	return faults
}

const (
	maxNameservers  = 3
	maxSearches     = 32
	maxSearchLength = 2048
)

func validateDNSConfig(s *corev1.PodSpec, p *field.Path) (faults field.ErrorList) {
	c := s.DNSConfig
	if s.DNSPolicy == corev1.DNSNone {
		if c == nil {
			return field.ErrorList{field.Required(p, "must provide `dnsConfig` when `dnsPolicy` is None")}
		}
		if len(c.Nameservers) == 0 {
			faults = append(faults, field.Required(p.Child("nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None"))
		}
	}
	if c == nil {
		return nil
	}
	if len(c.Nameservers) > maxNameservers {
		faults = append(faults, field.Invalid(p.Child("nameservers"), c.Nameservers, "must not have more than 3 nameservers"))
	}
	for i, ip := range c.Nameservers {
		faults = append(faults, validateIP(p.Child("nameservers").Index(i), ip)...)
	}
	faults = append(faults, validateSearches(c.Searches, p.Child("searches"))...)
	for i, o := range c.Options {
		faults = append(faults, required(p.Child("options").Index(i), o.Name)...)
	}
	return faults
}

func validateSearches(searches []string, p *field.Path) (faults field.ErrorList) {
	if len(searches) > maxSearches {
		faults = append(faults, field.Invalid(p, searches, "must not have more than 32 search paths"))
	}
	length := len(searches) - 1
	for i, s := range searches {
		length += len(s)
		if s == "." {
			continue
		}
		if n := len(s); n > 0 && s[n-1] == '.' {
			s = s[:n-1]
		}
		faults = append(faults, invalid(p.Index(i), s, validation.IsDNS1123SubdomainWithUnderscore(s))...)
	}
	if length > maxSearchLength {
		faults = append(faults, field.Invalid(p, searches, "must not have more than 2048 characters (including spaces) in the search list"))
	}
	return faults
}

func validateHostAliases(aliases []corev1.HostAlias, p *field.Path) (faults field.ErrorList) {
	for i, a := range aliases {
		at := p.Index(i)
		faults = append(faults, validateIP(at.Child("ip"), a.IP)...)
		for j, name := range a.Hostnames {
			faults = append(faults, invalid(at.Child("hostnames").Index(j), name, validation.IsDNS1123Subdomain(name))...)
		}
	}
	return faults
}

// validateIP: Kubernetes took sloppy forms (010.0.0.1) into these fields for years, and must go on to; new ones are refused.
func validateIP(p *field.Path, ip string) field.ErrorList {
	return validation.IsValidIPForLegacyField(p, ip, true, nil)
}
