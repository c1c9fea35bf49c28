package kinds

import (
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What of itself a pod can learn through its environment, and through files.
var (
	envPaths = []string{"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}
	filePaths = []string{"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"}
	// knownPaths exist, though not all are allowed everywhere.
	knownPaths = append([]string{"metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host"}, envPaths...)
	// Amounts that a container can learn, and the units in which it may ask.
	resourcePaths = []string{"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"}
	cpuDivisors   = []string{"0", "1", "1m"}
	byteDivisors  = []string{"0", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}
)

const oneSource = "may not have more than one field specified at a time"

func validateEnv(env []corev1.EnvVar, p *field.Path) (faults field.ErrorList) {
	for i, e := range env {
		at := p.Index(i)
		if e.Name == "" {
			faults = append(faults, field.Required(at.Child("name"), ""))
		} else {
			faults = append(faults, invalid(at.Child("name"), e.Name, validation.IsRelaxedEnvVarName(e.Name))...)
		}
		if e.ValueFrom != nil {
			faults = append(faults, validateValueFrom(e, at.Child("valueFrom"))...)
		}
	}
	return faults
}

func validateValueFrom(e corev1.EnvVar, p *field.Path) (faults field.ErrorList) {
	v := e.ValueFrom
	switch set := choices(reflect.ValueOf(*v)); {
	case len(set) == 0:
		faults = append(faults, field.Invalid(p, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
	case e.Value != "":
		faults = append(faults, field.Invalid(p, "", "may not be specified when `value` is not empty"))
	case len(set) > 1:
		faults = append(faults, field.Invalid(p, "", oneSource))
	}
	faults = append(faults, validateFieldRef(v.FieldRef, envPaths, p.Child("fieldRef"))...)
	faults = append(faults, validateResourceRef(v.ResourceFieldRef, false, p.Child("resourceFieldRef"))...)
	if r := v.ConfigMapKeyRef; r != nil {
		faults = append(faults, validateKeyRef(r.Name, r.Key, p.Child("configMapKeyRef"))...)
	}
	if r := v.SecretKeyRef; r != nil {
		faults = append(faults, validateKeyRef(r.Name, r.Key, p.Child("secretKeyRef"))...)
	}
	if r := v.FileKeyRef; r != nil {
		faults = append(faults, validateFileRef(r, p.Child("fileKeyRef"))...)
	}
	return faults
}

func validateKeyRef(name, key string, p *field.Path) field.ErrorList {
	faults := invalid(p.Child("name"), name, validation.IsDNS1123Subdomain(name))
	if key == "" {
		return append(faults, field.Required(p.Child("key"), ""))
	}
	return append(faults, invalid(p.Child("key"), key, validation.IsConfigMapKey(key))...)
}

func validateFileRef(r *corev1.FileKeySelector, p *field.Path) field.ErrorList {
	faults := append(required(p.Child("volumeName"), r.VolumeName), required(p.Child("path"), r.Path)...)
	faults = append(faults, required(p.Child("key"), r.Key)...)
	return append(faults, validateInside(p.Child("path"), r.Path)...)
}

func validateFieldRef(r *corev1.ObjectFieldSelector, allowed []string, p *field.Path) field.ErrorList {
	if r == nil {
		return nil
	}
	if r.APIVersion == "" {
		return field.ErrorList{field.Required(p.Child("apiVersion"), "")}
	}
	at := p.Child("fieldPath")
	if r.FieldPath == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	if path, key, ok := subscript(r.FieldPath); ok {
		return validateSubscript(path, key, r.FieldPath, at)
	}
	if r.APIVersion != "v1" || !slices.Contains(knownPaths, r.FieldPath) {
		return field.ErrorList{field.Invalid(at, r.FieldPath, "error converting fieldPath: field label not supported: "+r.FieldPath)}
	}
	if !slices.Contains(allowed, r.FieldPath) {
		return field.ErrorList{field.NotSupported(at, r.FieldPath, allowed)}
	}
	return nil
}

// subscript takes metadata.labels['app'] apart.
func subscript(s string) (path, key string, ok bool) {
	path, rest, ok := strings.Cut(s, "['")
	return path, strings.TrimSuffix(rest, "']"), ok && strings.HasSuffix(rest, "']")
}

func validateSubscript(path, key, whole string, p *field.Path) field.ErrorList {
	switch path {
	case "metadata.annotations":
		return invalid(p, whole, validation.IsQualifiedName(strings.ToLower(key)))
	case "metadata.labels":
		return invalid(p, whole, validation.IsQualifiedName(key))
	}
	return field.ErrorList{field.Invalid(p, path, "error converting fieldPath: field label does not support subscript")}
}

// validateResourceRef: in a file the container must be named, in a container's environment it is that container.
func validateResourceRef(r *corev1.ResourceFieldSelector, file bool, p *field.Path) (faults field.ErrorList) {
	if r == nil {
		return nil
	}
	if file && r.ContainerName == "" {
		faults = append(faults, field.Required(p.Child("containerName"), ""))
	}
	_, name, _ := strings.Cut(r.Resource, ".")
	switch at := p.Child("resource"); {
	case r.Resource == "":
		faults = append(faults, field.Required(at, ""))
	case !slices.Contains(resourcePaths, r.Resource) && !isHugePage(corev1.ResourceName(name)):
		faults = append(faults, field.NotSupported(at, r.Resource, resourcePaths))
	case name == "cpu" && !slices.Contains(cpuDivisors, r.Divisor.String()):
		faults = append(faults, field.Invalid(p.Child("divisor"), r.Divisor.String(), "only divisor's values 1m and 1 are supported with the cpu resource"))
	case name != "cpu" && !slices.Contains(byteDivisors, r.Divisor.String()):
		faults = append(faults, field.Invalid(p.Child("divisor"), r.Divisor.String(), "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the "+name+" resource"))
	}
	return faults
}

func validateEnvFrom(sources []corev1.EnvFromSource, p *field.Path) (faults field.ErrorList) {
	for i, s := range sources {
		at := p.Index(i)
		if s.Prefix != "" {
			faults = append(faults, invalid(at.Child("prefix"), s.Prefix, validation.IsRelaxedEnvVarName(s.Prefix))...)
		}
		if r := s.ConfigMapRef; r != nil {
			faults = append(faults, invalid(at.Child("configMapRef", "name"), r.Name, validation.IsDNS1123Subdomain(r.Name))...)
		}
		if r := s.SecretRef; r != nil {
			faults = append(faults, invalid(at.Child("secretRef", "name"), r.Name, validation.IsDNS1123Subdomain(r.Name))...)
		}
		switch {
		case s.ConfigMapRef == nil && s.SecretRef == nil:
			faults = append(faults, field.Invalid(p, "", "must specify one of: `configMapRef` or `secretRef`"))
		case s.ConfigMapRef != nil && s.SecretRef != nil:
			faults = append(faults, field.Invalid(p, "", oneSource))
		}
	}
	return faults
}
