package kinds

import (
	"context"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func persistentVolumeRules() registry.Rules {
	type pv = corev1.PersistentVolume
	r := stored(api.PersistentVolumeKind, func(sub string, v, old *pv) field.ErrorList {
		same := apiequality.Semantic.DeepEqual(v.Spec.PersistentVolumeSource, old.Spec.PersistentVolumeSource)
		return append(when(sub == "" && !same, field.Forbidden(field.NewPath("spec", "persistentvolumesource"), "spec.persistentvolumesource is immutable after creation")),
			immutable(field.NewPath("volumeMode"), v.Spec.VolumeMode, old.Spec.VolumeMode)...)
	},
		column("Capacity", "string", "How large it is.", func(v *pv) any { return storageOf(v.Spec.Capacity) }),
		column("Access Modes", "string", "Who may mount it at once.", func(v *pv) any { return modesOf(v.Spec.AccessModes) }),
		shown[*pv]("Reclaim Policy", "spec.persistentVolumeReclaimPolicy", "", "What becomes of it when its claim goes."),
		column("Status", "string", "Whether it is free.", func(v *pv) any { return ending(v, string(v.Status.Phase)) }),
		column("Claim", "string", "Whose it is.", func(v *pv) any {
			if v.Spec.ClaimRef == nil {
				return ""
			}
			return v.Spec.ClaimRef.Namespace + "/" + v.Spec.ClaimRef.Name
		}),
		shown[*pv]("StorageClass", "spec.storageClassName", "", "Its class."),
		shown[*pv]("VolumeAttributesClass", "spec.volumeAttributesClassName", unset, "The class of its attributes."),
		shown[*pv]("Reason", "status.reason", "", "Why it is as it is."), registry.AgeColumn)
	r.Columns = append(r.Columns, wide(shown[*pv]("VolumeMode", "spec.volumeMode", unset, "A file system, or a block device."))...)
	r.Prepare = pending
	return r
}

func persistentVolumeClaimRules() registry.Rules {
	type pvc = corev1.PersistentVolumeClaim
	r := stored(api.PersistentVolumeClaimKind, claimStays,
		column("Status", "string", "Whether it has a volume.", func(c *pvc) any { return ending(c, string(c.Status.Phase)) }),
		shown[*pvc]("Volume", "spec.volumeName", "", "Which one."),
		column("Capacity", "string", "How large that is.", func(c *pvc) any {
			if c.Spec.VolumeName == "" {
				return ""
			}
			return storageOf(c.Status.Capacity)
		}),
		column("Access Modes", "string", "Who may mount it at once.", func(c *pvc) any {
			if c.Spec.VolumeName == "" {
				return ""
			}
			return modesOf(c.Status.AccessModes)
		}),
		shown[*pvc]("StorageClass", "spec.storageClassName", "", "The class that it wants."),
		shown[*pvc]("VolumeAttributesClass", "spec.volumeAttributesClassName", unset, "The class of its attributes."), registry.AgeColumn)
	r.Columns = append(r.Columns, wide(shown[*pvc]("VolumeMode", "spec.volumeMode", unset, "A file system, or a block device."))...)
	r.Prepare = pending
	return r
}

// pending is how storage begins.
func pending(ctx context.Context, sub string, o, old api.Object) {
	clearStatus(ctx, sub, o, old)
	if old == nil {
		reflect.ValueOf(o).Elem().FieldByName("Status").FieldByName("Phase").SetString(string(corev1.VolumePending))
	}
	if v, volume := o.(*corev1.PersistentVolume); volume && old == nil {
		v.Status.LastPhaseTransitionTime = new(metav1.Now())
	}
}

// claimStays: what was asked for stays, but that a bound claim may grow or change its attributes, and an unbound one be given its volume.
func claimStays(sub string, c, old *corev1.PersistentVolumeClaim) field.ErrorList {
	if sub != "" {
		return nil
	}
	now, was, at := c.Spec.DeepCopy(), old.Spec.DeepCopy(), field.NewPath("spec")
	if was.VolumeName == "" {
		was.VolumeName = now.VolumeName
	}
	if was.StorageClassName == nil {
		was.StorageClassName = now.StorageClassName // the default class came later
	}
	size, before := now.Resources.Requests[corev1.ResourceStorage], was.Resources.Requests[corev1.ResourceStorage]
	if old.Status.Phase == corev1.ClaimBound {
		was.Resources.Requests, was.VolumeAttributesClassName = now.Resources.Requests, now.VolumeAttributesClassName
	}
	faults := when(!apiequality.Semantic.DeepEqual(now, was), field.Forbidden(at, "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"))
	have := old.Status.Capacity[corev1.ResourceStorage]
	return append(faults, when(size.Cmp(before) < 0 && size.Cmp(have) <= 0, field.Forbidden(at.Child("resources", "requests", "storage"), "field can not be less than status.capacity"))...)
}

func storageOf(l corev1.ResourceList) string { q := l[corev1.ResourceStorage]; return q.String() }

func modesOf(modes []corev1.PersistentVolumeAccessMode) string {
	short := map[corev1.PersistentVolumeAccessMode]string{corev1.ReadWriteOnce: "RWO", corev1.ReadOnlyMany: "ROX", corev1.ReadWriteMany: "RWX", corev1.ReadWriteOncePod: "RWOP"}
	var all []string
	for _, m := range []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOncePod} {
		if slices.Contains(modes, m) {
			all = append(all, short[m])
		}
	}
	return strings.Join(all, ",")
}

func ending(o api.Object, phase string) string {
	if o.GetDeletionTimestamp() != nil {
		return "Terminating"
	}
	return phase
}

func storageClassRules() registry.Rules {
	type class = storagev1.StorageClass
	return stored(api.StorageClassKind, fixed[*class]("parameters provisioner reclaimPolicy volumeBindingMode"),
		shown[*class]("Provisioner", "provisioner", "", "Who makes its volumes."),
		shown[*class]("ReclaimPolicy", "reclaimPolicy", "Delete", "What becomes of them when their claims go."),
		shown[*class]("VolumeBindingMode", "volumeBindingMode", "Immediate", "When they are made."),
		column("AllowVolumeExpansion", "string", "Whether they may grow.", func(c *class) any { return deref(c.AllowVolumeExpansion) }), registry.AgeColumn)
}

func csiDriverRules() registry.Rules {
	type driver = storagev1.CSIDriver
	return stored(api.CSIDriverKind, fixed[*driver]("spec.attachRequired spec.volumeLifecycleModes"),
		flag[*driver]("AttachRequired", "spec.attachRequired", true, "Whether its volumes must be attached."),
		flag[*driver]("PodInfoOnMount", "spec.podInfoOnMount", false, "Whether it wants to know for which pod it mounts."),
		flag[*driver]("StorageCapacity", "spec.storageCapacity", false, "Whether it tells how much room there is."),
		column("TokenRequests", "string", "For whom it wants tokens.", func(d *driver) any {
			if d.Spec.TokenRequests == nil {
				return unset
			}
			return strings.Join(texts(d.Spec.TokenRequests, func(t storagev1.TokenRequest) string { return t.Audience }), ",")
		}),
		flag[*driver]("RequiresRepublish", "spec.requiresRepublish", false, "Whether it is asked again and again."),
		column("Modes", "string", "Which volumes it has.", func(d *driver) any {
			return orElse(strings.Join(texts(d.Spec.VolumeLifecycleModes, func(m storagev1.VolumeLifecycleMode) string { return string(m) }), ","), none)
		}), registry.AgeColumn)
}

func csiNodeRules() registry.Rules {
	return stored[*storagev1.CSINode](api.CSINodeKind, nil,
		column("Drivers", "integer", "How many drivers the node has.", func(n *storagev1.CSINode) any { return int64(len(n.Spec.Drivers)) }), registry.AgeColumn)
}

func csiStorageCapacityRules() registry.Rules {
	type room = storagev1.CSIStorageCapacity
	return stored(api.CSIStorageCapacityKind, fixed[*room]("nodeTopology storageClassName"), shown[*room]("StorageClassName", "storageClassName", "", "Of which class."),
		shown[*room]("Capacity", "capacity", unset, "How much there is."))
}

func volumeAttachmentRules() registry.Rules {
	type attachment = storagev1.VolumeAttachment
	return stored(api.VolumeAttachmentKind, fixed[*attachment]("spec"), shown[*attachment]("Attacher", "spec.attacher", "", "Who attaches."),
		shown[*attachment]("PV", "spec.source.persistentVolumeName", "", "What."), shown[*attachment]("Node", "spec.nodeName", "", "Where."),
		flag[*attachment]("Attached", "status.attached", false, "Whether that is done."), registry.AgeColumn)
}

func volumeAttributesClassRules() registry.Rules {
	type class = storagev1.VolumeAttributesClass
	return stored(api.VolumeAttributesClassKind, fixed[*class]("driverName parameters"), shown[*class]("DriverName", "driverName", "", "Whose attributes."), registry.AgeColumn)
}

func runtimeClassRules() registry.Rules {
	return stored(api.RuntimeClassKind, fixed[*nodev1.RuntimeClass]("handler"), shown[*nodev1.RuntimeClass]("Handler", "handler", "", "The name that the nodes' runtime knows."), registry.AgeColumn)
}

func podDisruptionBudgetRules() registry.Rules {
	type pdb = policyv1.PodDisruptionBudget
	return stored[*pdb](api.PodDisruptionBudgetKind, nil,
		shown[*pdb]("Min Available", "spec.minAvailable", "N/A", "How many pods must be there."),
		shown[*pdb]("Max Unavailable", "spec.maxUnavailable", "N/A", "How many may be away."),
		counted[*pdb]("Allowed Disruptions", "status.disruptionsAllowed", "How many may be evicted now."), registry.AgeColumn)
}

var storageDefaults = []rule{
	filled(func(s *corev1.PersistentVolumeSpec) {
		fill(&s.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
		fillPtr(&s.VolumeMode, corev1.PersistentVolumeFilesystem)
		roundMilli(s.Capacity)
	}),
	filled(func(s *corev1.PersistentVolumeClaimSpec) {
		fillPtr(&s.VolumeMode, corev1.PersistentVolumeFilesystem)
		roundMilli(s.Resources.Limits, s.Resources.Requests)
		// dataSource is the old name of what dataSourceRef can say too.
		if s.DataSource != nil && s.DataSourceRef == nil {
			s.DataSourceRef = &corev1.TypedObjectReference{APIGroup: s.DataSource.APIGroup, Kind: s.DataSource.Kind, Name: s.DataSource.Name}
		} else if r := s.DataSourceRef; r != nil && s.DataSource == nil && r.Namespace == nil && (r.Kind == "PersistentVolumeClaim" || r.Kind == "VolumeSnapshot") {
			s.DataSource = &corev1.TypedLocalObjectReference{APIGroup: r.APIGroup, Kind: r.Kind, Name: r.Name}
		}
	}),
	filled(func(c *corev1.PersistentVolumeClaim) { fill(&c.Status.Phase, corev1.ClaimPending) }),
	filled(func(s *corev1.RBDPersistentVolumeSource) {
		fill(&s.RBDPool, "rbd")
		fill(&s.RadosUser, "admin")
		fill(&s.Keyring, "/etc/ceph/keyring")
	}),
	filled(func(s *corev1.ISCSIPersistentVolumeSource) { fill(&s.ISCSIInterface, "default") }),
	filled(func(s *corev1.ScaleIOPersistentVolumeSource) {
		fill(&s.StorageMode, "ThinProvisioned")
		fill(&s.FSType, "xfs")
	}),
	filled(func(c *storagev1.StorageClass) {
		fillPtr(&c.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
		fillPtr(&c.VolumeBindingMode, storagev1.VolumeBindingImmediate)
	}),
	filled(func(s *storagev1.CSIDriverSpec) {
		fillPtr(&s.AttachRequired, true)
		for _, no := range []**bool{&s.PodInfoOnMount, &s.StorageCapacity, &s.RequiresRepublish, &s.SELinuxMount, &s.PreventPodSchedulingIfMissing} {
			fillPtr(no, false)
		}
		fillPtr(&s.FSGroupPolicy, storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)
		if len(s.VolumeLifecycleModes) == 0 {
			s.VolumeLifecycleModes = []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent}
		}
	}),
}

var (
	volumeMode  = oneOf(corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)
	accessModes = required(some(func(at *field.Path, modes []corev1.PersistentVolumeAccessMode) (faults field.ErrorList) {
		all := []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod}
		others := 0
		for _, m := range modes {
			known := slices.Contains(all, m)
			if known && m != corev1.ReadWriteOncePod {
				others++
			}
			faults = append(faults, when(!known, field.NotSupported(at, m, all))...)
		}
		return append(faults, when(others > 0 && slices.Contains(modes, corev1.ReadWriteOncePod), field.Forbidden(at, "may not use ReadWriteOncePod with other access modes"))...)
	}))
	parameters = some(func(at *field.Path, all map[string]string) field.ErrorList {
		size := 0
		for name, value := range all {
			size += len(name) + len(value)
		}
		_, nameless := all[""]
		return append(when(len(all) > 512 || size > 256<<10, field.TooLong(at, "", 512)), when(nameless, field.Invalid(at, "", "field can not be empty."))...)
	})
)

var storageChecks = []rule{
	fields[corev1.PersistentVolumeSpec]("accessModes", accessModes),
	fields[corev1.PersistentVolumeSpec]("persistentVolumeReclaimPolicy", optional(oneOf(corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRecycle, corev1.PersistentVolumeReclaimRetain))),
	fields[corev1.PersistentVolumeSpec]("volumeMode", volumeMode),
	fields[corev1.PersistentVolumeSpec]("storageClassName", optional(subdomain)),
	fields[corev1.PersistentVolumeSpec]("volumeAttributesClassName", required(subdomain)),
	each(volumeSpec),
	union[corev1.PersistentVolumeSource]("volume", ""),
	fields[corev1.PersistentVolumeClaimSpec]("accessModes", accessModes),
	fields[corev1.PersistentVolumeClaimSpec]("volumeMode", volumeMode),
	fields[corev1.PersistentVolumeClaimSpec]("storageClassName volumeAttributesClassName", optional(subdomain)),
	each(func(at *field.Path, s *corev1.PersistentVolumeClaimSpec) field.ErrorList {
		at = at.Child("resources").Key(string(corev1.ResourceStorage))
		q, asked := s.Resources.Requests[corev1.ResourceStorage]
		if !asked {
			return field.ErrorList{field.Required(at, "")}
		}
		return when(q.Sign() <= 0, field.Invalid(at, q.String(), "must be greater than zero"))
	}),
	fields[storagev1.StorageClass]("provisioner", required(text(func(s string) []string { return validation.IsQualifiedName(strings.ToLower(s)) }))),
	fields[storagev1.StorageClass]("parameters", parameters),
	fields[storagev1.StorageClass]("reclaimPolicy", optional(oneOf(corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain))),
	fields[storagev1.StorageClass]("volumeBindingMode", oneOf(storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer)),
	fields[corev1.TopologySelectorLabelRequirement]("key", labelKey),
	fields[corev1.TopologySelectorLabelRequirement]("values", required(), distinct("", func(v string) string { return v })),
	fields[storagev1.VolumeAttributesClass]("driverName", required(text(func(s string) []string { return validation.IsQualifiedName(strings.ToLower(s)) }))),
	fields[storagev1.VolumeAttributesClass]("parameters", required(parameters)),
	fields[storagev1.CSIDriverSpec]("fsGroupPolicy", oneOf(storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy, storagev1.FileFSGroupPolicy, storagev1.NoneFSGroupPolicy)),
	fields[storagev1.CSIDriverSpec]("volumeLifecycleModes", every(oneOf(storagev1.VolumeLifecyclePersistent, storagev1.VolumeLifecycleEphemeral))),
	fields[storagev1.CSIDriverSpec]("nodeAllocatableUpdatePeriodSeconds", between(10, 1<<40, "must be greater than or equal to 10 seconds")),
	fields[storagev1.CSIDriverSpec]("tokenRequests", distinct("audience", func(t storagev1.TokenRequest) any { return t.Audience })), // "" is one too
	fields[storagev1.TokenRequest]("expirationSeconds", between(600, 1<<32, "must be from 10 minutes to 2^32 seconds")),
	fields[storagev1.CSINodeSpec]("drivers", distinct("name", func(d storagev1.CSINodeDriver) string { return d.Name })),
	fields[storagev1.CSINodeDriver]("name", required(subdomain)),
	fields[storagev1.CSINodeDriver]("nodeID", required()),
	fields[storagev1.VolumeNodeResources]("count", notNegative),
	fields[storagev1.CSIStorageCapacity]("storageClassName", subdomain),
	fields[storagev1.VolumeAttachmentSpec]("attacher", required(subdomain)),
	fields[storagev1.VolumeAttachmentSpec]("nodeName", subdomain),
	fields[storagev1.VolumeAttachmentSource]("persistentVolumeName", subdomain),
	missing("", "must specify exactly one of inlineVolumeSpec and persistentVolumeName", func(s *storagev1.VolumeAttachmentSource) bool { return len(choices(s)) == 0 }),
	forbidden("", "must specify exactly one of inlineVolumeSpec and persistentVolumeName", func(s *storagev1.VolumeAttachmentSource) bool { return len(choices(s)) > 1 }),

	fields[nodev1.RuntimeClass]("handler", required(label)),
	fields[nodev1.Overhead]("podFixed", some(resourceAmounts)),
	fields[nodev1.Scheduling]("nodeSelector", labelSet),

	fields[policyv1.PodDisruptionBudgetSpec]("minAvailable maxUnavailable", some(intOrPercent), some(atMostAll)),
	fields[policyv1.PodDisruptionBudgetSpec]("unhealthyPodEvictionPolicy", oneOfKnown(policyv1.AlwaysAllow, policyv1.IfHealthyBudget)),
	fields[policyv1.PodDisruptionBudgetStatus]("disruptionsAllowed currentHealthy desiredHealthy expectedPods", notNegative),
	wrong("", "minAvailable and maxUnavailable cannot be both set", func(s *policyv1.PodDisruptionBudgetSpec) (any, bool) {
		return field.OmitValueType{}, s.MinAvailable != nil && s.MaxUnavailable != nil
	}),
}

// volumeSpec: a volume has a size, and what its sort needs.
func volumeSpec(at *field.Path, s *corev1.PersistentVolumeSpec) (faults field.ErrorList) {
	capacity := at.Child("capacity")
	_, sized := s.Capacity[corev1.ResourceStorage]
	faults = append(when(len(s.Capacity) == 0, field.Required(capacity, "")),
		when(!sized || len(s.Capacity) > 1, field.NotSupported(capacity, fmt.Sprint(len(s.Capacity)), []corev1.ResourceName{corev1.ResourceStorage}))...)
	for name, q := range s.Capacity {
		faults = append(faults, when(q.Sign() <= 0, field.Invalid(capacity.Key(string(name)), q.String(), "must be greater than zero"))...)
	}
	if s.HostPath != nil {
		root := path.Clean(s.HostPath.Path) == "/" && s.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle
		faults = append(faults, when(root, field.Forbidden(at.Child("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'"))...)
	}
	faults = append(faults, when(s.VolumeAttributesClassName != nil && s.CSI == nil, field.Required(at.Child("csi"), "has to be specified when using volumeAttributesClassName"))...)
	return append(faults, when(s.Local != nil && s.NodeAffinity == nil, field.Required(at.Child("nodeAffinity"), "Local volume requires node affinity"))...)
}
