package kinds

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validatePodSecurity(s *corev1.PodSpec, p *field.Path) (faults field.ErrorList) {
	if s.HostPID && deref(s.ShareProcessNamespace) {
		faults = append(faults, field.Invalid(p.Child("shareProcessNamespace"), true, "ShareProcessNamespace and HostPID cannot both be enabled"))
	}
	c := s.SecurityContext
	if c == nil {
		return faults
	}
	faults = append(faults, userAndGroup(c.RunAsUser, c.RunAsGroup, p)...)
	if c.FSGroup != nil {
		faults = append(faults, invalid(p.Child("fsGroup"), *c.FSGroup, validation.IsValidGroupID(*c.FSGroup))...)
	}
	for i, gid := range c.SupplementalGroups {
		faults = append(faults, invalid(p.Child("supplementalGroups").Index(i), gid, validation.IsValidGroupID(gid))...)
	}
	faults = append(faults, optionalOneOf(p.Child("supplementalGroupsPolicy"), c.SupplementalGroupsPolicy, corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)...)
	faults = append(faults, optionalOneOf(p.Child("fsGroupChangePolicy"), c.FSGroupChangePolicy, corev1.FSGroupChangeOnRootMismatch, corev1.FSGroupChangeAlways)...)
	faults = append(faults, validateSysctls(c.Sysctls, p.Child("sysctls"))...)
	faults = append(faults, validateSeccomp(c.SeccompProfile, p.Child("seccompProfile"))...)
	return append(faults, validateAppArmor(c.AppArmorProfile, p.Child("appArmorProfile"))...)
}

func userAndGroup(user, group *int64, p *field.Path) (faults field.ErrorList) {
	if user != nil {
		faults = append(faults, invalid(p.Child("runAsUser"), *user, validation.IsValidUserID(*user))...)
	}
	if group != nil {
		faults = append(faults, invalid(p.Child("runAsGroup"), *group, validation.IsValidGroupID(*group))...)
	}
	return faults
}

var sysctlName = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)

func validateSysctls(sysctls []corev1.Sysctl, p *field.Path) (faults field.ErrorList) {
	const maxLength = 253
	seen := map[string]bool{}
	for i, s := range sysctls {
		at := p.Index(i).Child("name")
		switch {
		case s.Name == "":
			faults = append(faults, field.Required(at, ""))
		case len(s.Name) > maxLength || !sysctlName.MatchString(s.Name):
			faults = append(faults, field.Invalid(at, s.Name, "must have at most 253 characters and look like kernel.shm_rmid_forced"))
		case seen[s.Name]:
			faults = append(faults, field.Duplicate(at, s.Name))
		}
		seen[s.Name] = true
	}
	return faults
}

// validateSecurity checks a container's own settings, some of which contradict one another.
func validateSecurity(c *corev1.SecurityContext, s *corev1.PodSpec, p *field.Path) (faults field.ErrorList) {
	if c == nil {
		return nil
	}
	faults = userAndGroup(c.RunAsUser, c.RunAsGroup, p)
	faults = append(faults, validateSeccomp(c.SeccompProfile, p.Child("seccompProfile"))...)
	faults = append(faults, validateAppArmor(c.AppArmorProfile, p.Child("appArmorProfile"))...)
	faults = append(faults, optionalOneOf(p.Child("procMount"), c.ProcMount, corev1.DefaultProcMount, corev1.UnmaskedProcMount)...)
	if deref(c.ProcMount) == corev1.UnmaskedProcMount && (s.HostUsers == nil || *s.HostUsers) {
		faults = append(faults, field.Invalid(p.Child("procMount"), c.ProcMount, "`hostUsers` must be false to use `Unmasked`"))
	}
	return append(faults, validateEscalation(c, p)...)
}

func validateEscalation(c *corev1.SecurityContext, p *field.Path) (faults field.ErrorList) {
	if c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation {
		return nil
	}
	if deref(c.Privileged) {
		faults = append(faults, field.Invalid(p, c, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
	}
	if c.Capabilities == nil {
		return faults
	}
	for _, name := range c.Capabilities.Add {
		if name == "CAP_SYS_ADMIN" {
			faults = append(faults, field.Invalid(p, c, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))
		}
	}
	return faults
}

func validateSeccomp(s *corev1.SeccompProfile, p *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	faults := oneOf(p.Child("type"), s.Type, corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)
	faults = append(faults, localProfile(s.Type == corev1.SeccompProfileTypeLocalhost, s.LocalhostProfile, "seccomp", p.Child("localhostProfile"))...)
	if s.LocalhostProfile != nil && len(faults) == 0 {
		faults = validateInside(p.Child("localhostProfile"), *s.LocalhostProfile)
	}
	return faults
}

func validateAppArmor(s *corev1.AppArmorProfile, p *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	faults := oneOf(p.Child("type"), s.Type, corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)
	faults = append(faults, localProfile(s.Type == corev1.AppArmorProfileTypeLocalhost, s.LocalhostProfile, "AppArmor", p.Child("localhostProfile"))...)
	if s.LocalhostProfile != nil && strings.TrimSpace(*s.LocalhostProfile) != *s.LocalhostProfile {
		faults = append(faults, field.Invalid(p.Child("localhostProfile"), *s.LocalhostProfile, "must not be padded with whitespace"))
	}
	return faults
}

// localProfile: a profile of the node's own is named exactly when the type says so.
func localProfile(local bool, name *string, what string, p *field.Path) field.ErrorList {
	switch {
	case local && deref(name) == "":
		return field.ErrorList{field.Required(p, "must be set when "+what+" type is Localhost")}
	case !local && name != nil && what == "AppArmor":
		return field.ErrorList{field.Invalid(p, *name, "can only be set when AppArmor type is Localhost")}
	case !local && name != nil:
		return field.ErrorList{field.Invalid(p, name, "can only be set when seccomp type is Localhost")}
	}
	return nil
}
