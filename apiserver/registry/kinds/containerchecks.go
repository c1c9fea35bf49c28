package kinds

import (
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var imageName = required(text(func(image string) []string {
	if image != strings.TrimSpace(image) {
		return []string{"must not have leading or trailing whitespace"}
	}
	return nil
}))

// containerChecks are the faults of a container.
var containerChecks = []rule{
	fields[corev1.Container]("name", required(label)),
	fields[corev1.Container]("image", imageName),
	fields[corev1.Container]("imagePullPolicy", oneOf(corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)),
	fields[corev1.Container]("terminationMessagePolicy", oneOf(corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)),
	fields[corev1.Container]("restartPolicy", oneOfKnown(corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)),
	fields[corev1.Container]("restartPolicyRules", atMost(20)),
	fields[corev1.Container]("ports", distinct("name", func(p corev1.ContainerPort) string { return p.Name })),
	fields[corev1.Container]("volumeMounts", distinctPlaces),
	fields[corev1.Container]("resizePolicy", distinct("", func(r corev1.ContainerResizePolicy) corev1.ResourceName { return r.ResourceName })),
	missing("restartPolicy", "must specify restartPolicy when restart rules are used", func(c *corev1.Container) bool { return len(c.RestartPolicyRules) > 0 && c.RestartPolicy == nil }),
	fields[corev1.ContainerPort]("name", optional(text(validation.IsValidPortName))),
	fields[corev1.ContainerPort]("containerPort", required(port)),
	fields[corev1.ContainerPort]("hostPort", optional(port)),
	fields[corev1.ContainerPort]("protocol", protocol),
	fields[corev1.ContainerRestartRule]("action", oneOf(corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)),
	fields[corev1.ContainerRestartRuleOnExitCodes]("operator", oneOf(corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)),
	fields[corev1.ContainerRestartRuleOnExitCodes]("values", required(atMost(255))),
	missing("exitCodes", "must be specified", func(r *corev1.ContainerRestartRule) bool { return r.ExitCodes == nil }),
	fields[corev1.ContainerResizePolicy]("resourceName", oneOf(corev1.ResourceCPU, corev1.ResourceMemory)),
	fields[corev1.ContainerResizePolicy]("restartPolicy", oneOf(corev1.NotRequired, corev1.RestartContainer)),
	fields[corev1.ResourceRequirements]("limits requests", some(resourceAmounts)),
	each(requestsWithinLimits),

	fields[corev1.SecurityContext]("runAsUser runAsGroup", userID),
	fields[corev1.SecurityContext]("procMount", oneOf(corev1.DefaultProcMount, corev1.UnmaskedProcMount)),
	each(func(at *field.Path, c *corev1.SecurityContext) field.ErrorList {
		barred := c.AllowPrivilegeEscalation != nil && !*c.AllowPrivilegeEscalation
		admin := c.Capabilities != nil && slices.Contains(c.Capabilities.Add, "CAP_SYS_ADMIN")
		return append(when(barred && deref(c.Privileged), field.Invalid(at, c, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")),
			when(barred && admin, field.Invalid(at, c, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))...)
	}),

	union[corev1.ProbeHandler]("handler", ""),
	union[corev1.LifecycleHandler]("handler", ""),
	fields[corev1.Probe]("initialDelaySeconds timeoutSeconds periodSeconds successThreshold failureThreshold", notNegative),
	fields[corev1.Probe]("terminationGracePeriodSeconds", positive),
	each(decidedByOneSuccess),
	fields[corev1.ExecAction]("command", required()),
	fields[corev1.TCPSocketAction]("port", portRef),
	fields[corev1.GRPCAction]("port", port),
	fields[corev1.HTTPGetAction]("path", required()),
	fields[corev1.HTTPGetAction]("port", portRef),
	fields[corev1.HTTPGetAction]("scheme", oneOf(corev1.URISchemeHTTP, corev1.URISchemeHTTPS)),
	each(func(at *field.Path, h *corev1.HTTPGetAction) (faults field.ErrorList) {
		for _, header := range h.HTTPHeaders {
			faults = append(faults, invalid(at.Child("httpHeaders"), header.Name, validation.IsHTTPHeaderName(header.Name))...)
		}
		return faults
	}),

	fields[corev1.EnvVar]("name", required(text(validation.IsRelaxedEnvVarName))),
	each(oneValue),
	fields[corev1.EnvVarSource]("fieldRef", fieldRef("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")),
	each(knownAmount),
	fields[corev1.ConfigMapKeySelector]("name", subdomain),
	fields[corev1.ConfigMapKeySelector]("key", required(text(validation.IsConfigMapKey))),
	fields[corev1.SecretKeySelector]("name", subdomain),
	fields[corev1.SecretKeySelector]("key", required(text(validation.IsConfigMapKey))),
	fields[corev1.FileKeySelector]("volumeName key", required()),
	fields[corev1.FileKeySelector]("path", required(inside)),
	fields[corev1.EnvFromSource]("prefix", optional(text(validation.IsRelaxedEnvVarName))),
	fields[corev1.ConfigMapEnvSource]("name", subdomain),
	fields[corev1.SecretEnvSource]("name", subdomain),
	each(envFromOne),
}

// distinctPlaces: Kubernetes calls a second mount at a place invalid, and reports a path that climbs out at the list, not at the mount.
var distinctPlaces = some(func(at *field.Path, mounts []corev1.VolumeMount) (faults field.ErrorList) {
	places := map[string]bool{}
	for i, m := range mounts {
		faults = append(faults, when(places[m.MountPath], field.Invalid(at.Index(i).Child("mountPath"), m.MountPath, "must be unique"))...)
		places[m.MountPath] = true
		faults = append(faults, inside(at.Child("subPath"), reflect.ValueOf(m.SubPath))...)
		faults = append(faults, inside(at.Child("subPathExpr"), reflect.ValueOf(m.SubPathExpr))...)
		faults = append(faults, when(m.SubPath != "" && m.SubPathExpr != "", field.Invalid(at.Index(i).Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))...)
	}
	return faults
})

// decidedByOneSuccess: only readiness can be won back; being alive, or having started, is decided by one success.
func decidedByOneSuccess(at *field.Path, c *corev1.Container) (faults field.ErrorList) {
	for name, p := range map[string]*corev1.Probe{"livenessProbe": c.LivenessProbe, "startupProbe": c.StartupProbe} {
		faults = append(faults, when(p != nil && p.SuccessThreshold != 1, field.Invalid(at.Child(name, "successThreshold"), deref(p).SuccessThreshold, "must be 1"))...)
	}
	return append(faults, when(c.ReadinessProbe != nil && c.ReadinessProbe.TerminationGracePeriodSeconds != nil,
		field.Invalid(at.Child("readinessProbe", "terminationGracePeriodSeconds"), deref(c.ReadinessProbe).TerminationGracePeriodSeconds, "must not be set for readinessProbes"))...)
}

const oneSource = "may not have more than one field specified at a time"

func oneValue(at *field.Path, e *corev1.EnvVar) field.ErrorList {
	if e.ValueFrom == nil {
		return nil
	}
	at = at.Child("valueFrom")
	switch set := choices(e.ValueFrom); {
	case len(set) == 0:
		return field.ErrorList{field.Invalid(at, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`")}
	case e.Value != "":
		return field.ErrorList{field.Invalid(at, "", "may not be specified when `value` is not empty")}
	default:
		return when(len(set) > 1, field.Invalid(at, "", oneSource))
	}
}

func envFromOne(at *field.Path, c *corev1.Container) (faults field.ErrorList) {
	for _, s := range c.EnvFrom {
		faults = append(faults, when(s.ConfigMapRef == nil && s.SecretRef == nil, field.Invalid(at.Child("envFrom"), "", "must specify one of: `configMapRef` or `secretRef`"))...)
		faults = append(faults, when(s.ConfigMapRef != nil && s.SecretRef != nil, field.Invalid(at.Child("envFrom"), "", oneSource))...)
	}
	return faults
}

// otherPaths of a pod exist, though not everywhere one may ask for them.
var otherPaths = []string{"metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host",
	"spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}

// fieldRef is a field of its own that a pod can learn, by its path: one of those that are allowed here, or one label or annotation.
func fieldRef(allowed ...string) check {
	return some(func(at *field.Path, r corev1.ObjectFieldSelector) field.ErrorList {
		at, path := at.Child("fieldPath"), r.FieldPath
		set, key, subscript := strings.Cut(path, "['")
		key, closed := strings.CutSuffix(key, "']")
		switch {
		case path == "":
			return field.ErrorList{field.Required(at, "")}
		case subscript && closed && set == "metadata.annotations":
			return invalid(at, path, validation.IsQualifiedName(strings.ToLower(key)))
		case subscript && closed && set == "metadata.labels":
			return invalid(at, path, validation.IsQualifiedName(key))
		case subscript && closed:
			return field.ErrorList{field.Invalid(at, set, "error converting fieldPath: field label does not support subscript")}
		case slices.Contains(allowed, path) && r.APIVersion == "v1":
			return nil
		case slices.Contains(otherPaths, path) && r.APIVersion == "v1":
			return field.ErrorList{field.NotSupported(at, path, allowed)}
		}
		return field.ErrorList{field.Invalid(at, path, "error converting fieldPath: field label not supported: "+path)}
	})
}

// amountPaths are the amounts that a container can learn.
var amountPaths = []string{"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"}

func knownAmount(at *field.Path, r *corev1.ResourceFieldSelector) field.ErrorList {
	_, name, _ := strings.Cut(r.Resource, ".")
	divisors := map[bool]string{true: "1m and 1", false: "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"}[name == "cpu"]
	switch unit := r.Divisor.String(); {
	case r.Resource == "":
		return field.ErrorList{field.Required(at.Child("resource"), "")}
	case !slices.Contains(amountPaths, r.Resource) && !isHugePage(corev1.ResourceName(name)):
		return field.ErrorList{field.NotSupported(at.Child("resource"), r.Resource, amountPaths)}
	default:
		known := slices.Contains(strings.FieldsFunc(divisors, func(r rune) bool { return strings.ContainsRune(", and", r) }), unit)
		return when(unit != "0" && !known, field.Invalid(at.Child("divisor"), unit, "only divisor's values "+divisors+" are supported with the "+name+" resource"))
	}
}

var (
	fileMode = between(0, 0o777, "must be a number between 0 and 0777 (octal), both inclusive")
	// filePath is where a file appears below its volume. Names that begin with two dots are the volume's own (..data).
	filePath = required(inside, some(func(at *field.Path, name string) field.ErrorList {
		return when(strings.HasPrefix(name, "..") && len(noBackSteps(at, name)) == 0, field.Invalid(at, name, "must not start with '..'"))
	}))
)

// volumeChecks are the faults of volumes and of their mounts, as far as they can be told before anything mounts them.
var volumeChecks = []rule{
	fields[corev1.Volume]("name", required(label)),
	union[corev1.VolumeSource]("volume", "emptyDir"),
	forbidden("sizeLimit", "SizeLimit field must be a valid resource quantity", func(s *corev1.EmptyDirVolumeSource) bool { return s.SizeLimit != nil && s.SizeLimit.Sign() < 0 }),
	fields[corev1.HostPathVolumeSource]("path", required(some(noBackSteps))),
	fields[corev1.HostPathVolumeSource]("type", oneOf(corev1.HostPathUnset, corev1.HostPathDirectoryOrCreate, corev1.HostPathDirectory, corev1.HostPathFileOrCreate,
		corev1.HostPathFile, corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev)),
	fields[corev1.SecretVolumeSource]("secretName", required()),
	fields[corev1.SecretVolumeSource]("defaultMode", fileMode),
	fields[corev1.ConfigMapVolumeSource]("name", required()),
	fields[corev1.ConfigMapVolumeSource]("defaultMode", fileMode),
	fields[corev1.KeyToPath]("key", required()),
	fields[corev1.KeyToPath]("path", filePath),
	fields[corev1.KeyToPath]("mode", fileMode),
	fields[corev1.DownwardAPIVolumeSource]("defaultMode", fileMode),
	fields[corev1.DownwardAPIVolumeFile]("path", filePath),
	fields[corev1.DownwardAPIVolumeFile]("mode", fileMode),
	fields[corev1.DownwardAPIVolumeFile]("fieldRef", fieldRef("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")),
	wrong("", "fieldRef and resourceFieldRef can not be specified simultaneously", func(f *corev1.DownwardAPIVolumeFile) (any, bool) {
		return "resource", f.FieldRef != nil && f.ResourceFieldRef != nil
	}),
	missing("", "one of fieldRef and resourceFieldRef is required", func(f *corev1.DownwardAPIVolumeFile) bool { return f.FieldRef == nil && f.ResourceFieldRef == nil }),
	missing("resourceFieldRef.containerName", "", func(f *corev1.DownwardAPIVolumeFile) bool {
		return f.FieldRef == nil && f.ResourceFieldRef != nil && f.ResourceFieldRef.ContainerName == ""
	}),
	fields[corev1.ProjectedVolumeSource]("defaultMode", fileMode),
	union[corev1.VolumeProjection]("projected volume source", ""),
	fields[corev1.SecretProjection]("name", required()),
	fields[corev1.ConfigMapProjection]("name", required()),
	fields[corev1.ServiceAccountTokenProjection]("path", filePath),
	fields[corev1.PersistentVolumeClaimVolumeSource]("claimName", required()),
	fields[corev1.NFSVolumeSource]("server path", required()),
	fields[corev1.CSIVolumeSource]("driver", required()),
	fields[corev1.ImageVolumeSource]("reference", imageName),
	fields[corev1.VolumeMount]("name mountPath", required()),
	fields[corev1.VolumeMount]("mountPropagation", oneOf(corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)),
	fields[corev1.VolumeMount]("recursiveReadOnly", oneOf(corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyIfPossible, corev1.RecursiveReadOnlyEnabled)),
	fields[corev1.VolumeDevice]("name devicePath", required()),
}
