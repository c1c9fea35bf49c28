package kinds

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (around *pod) validateMounts(c *corev1.Container, p *field.Path) (faults field.ErrorList) {
	places := map[string]bool{}
	for i := range c.VolumeMounts {
		m, at := &c.VolumeMounts[i], p.Index(i)
		switch _, found := around.volumes[m.Name]; {
		case m.Name == "":
			faults = append(faults, field.Required(at.Child("name"), ""))
		case !found:
			faults = append(faults, field.NotFound(at.Child("name"), m.Name))
		}
		faults = append(faults, required(at.Child("mountPath"), m.MountPath)...)
		if places[m.MountPath] {
			faults = append(faults, field.Invalid(at.Child("mountPath"), m.MountPath, "must be unique"))
		}
		places[m.MountPath] = true
		faults = append(faults, validateSubPath(m, p, at)...)
		faults = append(faults, validateMount(m, c, at)...)
	}
	return faults
}

// validateSubPath checks which part of a volume is mounted. Kubernetes reports a path that climbs out at the list of mounts, not at the mount.
func validateSubPath(m *corev1.VolumeMount, mounts, p *field.Path) (faults field.ErrorList) {
	if m.SubPath != "" {
		faults = append(faults, validateInside(mounts.Child("subPath"), m.SubPath)...)
	}
	if m.SubPathExpr == "" {
		return faults
	}
	if m.SubPath != "" {
		faults = append(faults, field.Invalid(p.Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))
	}
	return append(faults, validateInside(mounts.Child("subPathExpr"), m.SubPathExpr)...)
}

func validateMount(m *corev1.VolumeMount, c *corev1.Container, p *field.Path) (faults field.ErrorList) {
	at := p.Child("mountPropagation")
	faults = append(faults, optionalOneOf(at, m.MountPropagation, corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)...)
	if deref(m.MountPropagation) == corev1.MountPropagationBidirectional && (c.SecurityContext == nil || !deref(c.SecurityContext.Privileged)) {
		faults = append(faults, field.Forbidden(at, "Bidirectional mount propagation is available only to privileged containers"))
	}
	return append(faults, validateRecursiveReadOnly(m, p.Child("recursiveReadOnly"))...)
}

func validateRecursiveReadOnly(m *corev1.VolumeMount, p *field.Path) (faults field.ErrorList) {
	mode := deref(m.RecursiveReadOnly)
	faults = optionalOneOf(p, m.RecursiveReadOnly, corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyIfPossible, corev1.RecursiveReadOnlyEnabled)
	if mode != corev1.RecursiveReadOnlyIfPossible && mode != corev1.RecursiveReadOnlyEnabled {
		return faults
	}
	if !m.ReadOnly {
		faults = append(faults, field.Forbidden(p, "may only be specified when readOnly is true"))
	}
	if propagation := deref(m.MountPropagation); propagation != "" && propagation != corev1.MountPropagationNone {
		faults = append(faults, field.Forbidden(p, "may only be specified when mountPropagation is None or not specified"))
	}
	return faults
}

// validateDevices: raw block devices need a claim to come from, and a place that no file system is mounted at.
func (around *pod) validateDevices(c *corev1.Container, p *field.Path) (faults field.ErrorList) {
	mounted, places := map[string]bool{}, map[string]bool{}
	for _, m := range c.VolumeMounts {
		mounted[m.Name], places[m.MountPath] = true, true
	}
	for i, d := range c.VolumeDevices {
		at := p.Child("volumeDevices").Index(i)
		v := around.volumes[d.Name]
		switch {
		case d.Name == "":
			faults = append(faults, field.Required(at.Child("name"), ""))
		case v == nil:
			faults = append(faults, field.NotFound(at.Child("name"), d.Name))
		case v.PersistentVolumeClaim == nil && v.Ephemeral == nil:
			faults = append(faults, field.Invalid(at.Child("name"), d.Name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"))
		case mounted[d.Name]:
			faults = append(faults, field.Invalid(at.Child("name"), d.Name, "must not already exist in volumeMounts"))
		}
		faults = append(faults, validateDevicePath(d.DevicePath, places, at.Child("devicePath"))...)
	}
	return faults
}

func validateDevicePath(device string, places map[string]bool, p *field.Path) field.ErrorList {
	if device == "" {
		return field.ErrorList{field.Required(p, "")}
	}
	if places[device] {
		return field.ErrorList{field.Invalid(p, device, fmt.Sprintf("%s is already used in this container", device))}
	}
	places[device] = true
	return noBackSteps(p, device)
}
