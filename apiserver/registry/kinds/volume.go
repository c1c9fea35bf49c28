package kinds

import (
	"path"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateVolumes also returns the volumes by name, for the mounts to be checked against.
func validateVolumes(volumes []corev1.Volume, p *field.Path) (named map[string]*corev1.Volume, faults field.ErrorList) {
	named = map[string]*corev1.Volume{}
	for i := range volumes {
		v, at := &volumes[i], p.Index(i)
		bad := label(at.Child("name"), v.Name)
		if _, twice := named[v.Name]; twice && len(bad) == 0 {
			bad = field.ErrorList{field.Duplicate(at.Child("name"), v.Name)}
		}
		named[v.Name] = v
		faults = append(faults, bad...)
		faults = append(faults, validateVolumeSource(v, at)...)
	}
	return named, faults
}

func validateVolumeSource(v *corev1.Volume, p *field.Path) (faults field.ErrorList) {
	set := choices(reflect.ValueOf(v.VolumeSource))
	if len(set) == 0 {
		return field.ErrorList{field.Required(p, "must specify a volume type")}
	}
	if v.EmptyDir != nil { // of several sources this one counts, and the others are too many
		set = append([]string{"emptyDir"}, slices.DeleteFunc(set, func(name string) bool { return name == "emptyDir" })...)
	}
	for _, more := range set[1:] {
		faults = append(faults, field.Forbidden(p.Child(more), "may not specify more than 1 volume type"))
	}
	at := p.Child(set[0])
	switch s := v.VolumeSource; set[0] {
	case "emptyDir":
		if s.EmptyDir.SizeLimit != nil && s.EmptyDir.SizeLimit.Sign() < 0 {
			faults = append(faults, field.Forbidden(at.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity"))
		}
	case "hostPath":
		faults = append(faults, validateHostPath(s.HostPath, at)...)
	case "secret":
		faults = append(faults, required(at.Child("secretName"), s.Secret.SecretName)...)
		faults = append(faults, validateFiles(s.Secret.Items, s.Secret.DefaultMode, at)...)
	case "configMap":
		faults = append(faults, required(at.Child("name"), s.ConfigMap.Name)...)
		faults = append(faults, validateFiles(s.ConfigMap.Items, s.ConfigMap.DefaultMode, at)...)
	case "downwardAPI":
		faults = append(faults, fileMode(at.Child("defaultMode"), s.DownwardAPI.DefaultMode)...)
		faults = append(faults, validateDownwardFiles(s.DownwardAPI.Items, at)...)
	case "projected":
		faults = append(faults, validateProjected(s.Projected, at)...)
	case "persistentVolumeClaim":
		faults = append(faults, required(at.Child("claimName"), s.PersistentVolumeClaim.ClaimName)...)
	case "nfs":
		faults = append(faults, validateNFS(s.NFS, at)...)
	case "csi":
		faults = append(faults, required(at.Child("driver"), s.CSI.Driver)...)
	case "image":
		faults = append(faults, validateImage(s.Image.Reference, at.Child("reference"))...)
	}
	return faults
}

var hostPathTypes = []corev1.HostPathType{corev1.HostPathUnset, corev1.HostPathDirectoryOrCreate, corev1.HostPathDirectory, corev1.HostPathFileOrCreate,
	corev1.HostPathFile, corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev}

func validateHostPath(s *corev1.HostPathVolumeSource, p *field.Path) field.ErrorList {
	if s.Path == "" {
		return field.ErrorList{field.Required(p.Child("path"), "")}
	}
	faults := noBackSteps(p.Child("path"), s.Path)
	return append(faults, optionalOneOf(p.Child("type"), s.Type, hostPathTypes...)...)
}

func validateNFS(s *corev1.NFSVolumeSource, p *field.Path) field.ErrorList {
	faults := append(required(p.Child("server"), s.Server), required(p.Child("path"), s.Path)...)
	if s.Path != "" && !path.IsAbs(s.Path) {
		faults = append(faults, field.Invalid(p.Child("path"), s.Path, "must be an absolute path"))
	}
	return faults
}

func fileMode(p *field.Path, mode *int32) field.ErrorList {
	if mode == nil || *mode >= 0 && *mode <= 0o777 {
		return nil
	}
	return field.ErrorList{field.Invalid(p, *mode, "must be a number between 0 and 0777 (octal), both inclusive")}
}

// filePath is where a file appears below its volume. Names that begin with two dots are the volume's own (..data).
func filePath(p *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(p, "")}
	}
	faults := validateInside(p, name)
	if len(faults) == 0 && strings.HasPrefix(name, "..") {
		faults = append(faults, field.Invalid(p, name, "must not start with '..'"))
	}
	return faults
}

func validateFiles(items []corev1.KeyToPath, mode *int32, p *field.Path) field.ErrorList {
	faults := fileMode(p.Child("defaultMode"), mode)
	for i, item := range items {
		at := p.Child("items").Index(i)
		faults = append(faults, required(at.Child("key"), item.Key)...)
		faults = append(faults, filePath(at.Child("path"), item.Path)...)
		faults = append(faults, fileMode(at.Child("mode"), item.Mode)...)
	}
	return faults
}

func validateDownwardFiles(items []corev1.DownwardAPIVolumeFile, p *field.Path) (faults field.ErrorList) {
	for i, item := range items {
		at := p.Child("items").Index(i)
		faults = append(faults, filePath(at.Child("path"), item.Path)...)
		switch {
		case item.FieldRef != nil && item.ResourceFieldRef != nil:
			faults = append(faults, field.Invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
		case item.FieldRef == nil && item.ResourceFieldRef == nil:
			faults = append(faults, field.Required(at, "one of fieldRef and resourceFieldRef is required"))
		}
		faults = append(faults, validateFieldRef(item.FieldRef, filePaths, at.Child("fieldRef"))...)
		faults = append(faults, validateResourceRef(item.ResourceFieldRef, true, at.Child("resourceFieldRef"))...)
		faults = append(faults, fileMode(at.Child("mode"), item.Mode)...)
	}
	return faults
}

// validateProjected: one folder out of several objects; no two files may have the same place.
func validateProjected(s *corev1.ProjectedVolumeSource, p *field.Path) field.ErrorList {
	faults, taken := fileMode(p.Child("defaultMode"), s.DefaultMode), map[string]bool{}
	for i := range s.Sources {
		source, at := &s.Sources[i], p.Child("sources").Index(i)
		set := choices(reflect.ValueOf(*source))
		if len(set) == 0 {
			faults = append(faults, field.Required(at, "must specify a projected volume source"))
			continue
		}
		if len(set) > 1 {
			faults = append(faults, field.Forbidden(at, "may not specify more than 1 volume type per source"))
		}
		faults = append(faults, validateProjection(source, at)...)
		for _, name := range projectedPaths(source) {
			if taken[name] {
				faults = append(faults, field.Invalid(p, name, "conflicting duplicate paths"))
			}
			taken[name] = true
		}
	}
	return faults
}

func validateProjection(s *corev1.VolumeProjection, p *field.Path) (faults field.ErrorList) {
	if v := s.Secret; v != nil {
		faults = append(faults, required(p.Child("secret", "name"), v.Name)...)
		faults = append(faults, validateFiles(v.Items, nil, p.Child("secret"))...)
	}
	if v := s.ConfigMap; v != nil {
		faults = append(faults, required(p.Child("configMap", "name"), v.Name)...)
		faults = append(faults, validateFiles(v.Items, nil, p.Child("configMap"))...)
	}
	if v := s.DownwardAPI; v != nil {
		faults = append(faults, validateDownwardFiles(v.Items, p.Child("downwardAPI"))...)
	}
	if v := s.ServiceAccountToken; v != nil {
		faults = append(faults, validateTokenFile(v, p.Child("serviceAccountToken"))...)
	}
	return faults
}

func validateTokenFile(t *corev1.ServiceAccountTokenProjection, p *field.Path) (faults field.ErrorList) {
	at := p.Child("expirationSeconds")
	switch seconds := deref(t.ExpirationSeconds); {
	case t.ExpirationSeconds == nil:
	case seconds < 10*60:
		faults = append(faults, field.Invalid(at, seconds, "may not specify a duration less than 10 minutes"))
	case seconds > 1<<32:
		faults = append(faults, field.Invalid(at, seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	return append(faults, filePath(p.Child("path"), t.Path)...)
}

func projectedPaths(s *corev1.VolumeProjection) (paths []string) {
	var items []corev1.KeyToPath
	if s.Secret != nil {
		items = slices.Concat(items, s.Secret.Items)
	}
	if s.ConfigMap != nil {
		items = slices.Concat(items, s.ConfigMap.Items)
	}
	for _, item := range items {
		paths = append(paths, item.Path)
	}
	if s.DownwardAPI != nil {
		for _, item := range s.DownwardAPI.Items {
			paths = append(paths, item.Path)
		}
	}
	if s.ServiceAccountToken != nil {
		paths = append(paths, s.ServiceAccountToken.Path)
	}
	return paths
}
