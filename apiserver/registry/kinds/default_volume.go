package kinds

import corev1 "k8s.io/api/core/v1"

const defaultFileMode int32 = 0o644

// defaultVolume: a volume without a source is an empty folder, and files that come from objects are 0644.
func defaultVolume(v *corev1.Volume) {
	if v.VolumeSource == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	if s := v.HostPath; s != nil {
		fillPtr(&s.Type, corev1.HostPathUnset)
	}
	if s := v.Secret; s != nil {
		fillPtr(&s.DefaultMode, defaultFileMode)
	}
	if s := v.ConfigMap; s != nil {
		fillPtr(&s.DefaultMode, defaultFileMode)
	}
	if s := v.DownwardAPI; s != nil {
		fillPtr(&s.DefaultMode, defaultFileMode)
		defaultDownwardFiles(s.Items)
	}
	if s := v.Projected; s != nil {
		fillPtr(&s.DefaultMode, defaultFileMode)
		defaultProjections(s.Sources)
	}
	if s := v.Image; s != nil {
		fill(&s.PullPolicy, pullPolicyFor(s.Reference))
	}
	if s := v.Ephemeral; s != nil && s.VolumeClaimTemplate != nil {
		fillPtr(&s.VolumeClaimTemplate.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	}
	defaultRemoteVolume(v)
}

func defaultDownwardFiles(files []corev1.DownwardAPIVolumeFile) {
	for i := range files {
		defaultFieldRef(files[i].FieldRef)
	}
}

func defaultProjections(sources []corev1.VolumeProjection) {
	const hour int64 = 3600
	for i := range sources {
		if t := sources[i].ServiceAccountToken; t != nil {
			fillPtr(&t.ExpirationSeconds, hour)
		}
		if d := sources[i].DownwardAPI; d != nil {
			defaultDownwardFiles(d.Items)
		}
	}
}

// defaultRemoteVolume is for the kinds of storage that live in clouds and clusters of their own.
func defaultRemoteVolume(v *corev1.Volume) {
	if s := v.ISCSI; s != nil {
		fill(&s.ISCSIInterface, "default")
	}
	if s := v.RBD; s != nil {
		fill(&s.RBDPool, "rbd")
		fill(&s.RadosUser, "admin")
		fill(&s.Keyring, "/etc/ceph/keyring")
	}
	if s := v.AzureDisk; s != nil {
		fillPtr(&s.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		fillPtr(&s.Kind, corev1.AzureSharedBlobDisk)
		fillPtr(&s.FSType, "ext4")
		fillPtr(&s.ReadOnly, false)
	}
	if s := v.ScaleIO; s != nil {
		fill(&s.StorageMode, "ThinProvisioned")
		fill(&s.FSType, "xfs")
	}
}
