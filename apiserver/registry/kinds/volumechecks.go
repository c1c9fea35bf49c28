package kinds

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

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
	each(func(at *field.Path, s *corev1.EmptyDirVolumeSource) field.ErrorList {
		return when(s.SizeLimit != nil && s.SizeLimit.Sign() < 0, field.Forbidden(at.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity"))
	}),
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
