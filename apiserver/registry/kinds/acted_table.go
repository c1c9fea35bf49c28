package kinds

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/internal/api"
)

// warned says which fields are stored though nothing acts on them: whoever sets one is told so. A name goes when a version acts on its field.
//
// Acted on, and so not here: what makes a process (image, command, args, env, envFrom, workingDir, stdin, tty), its amounts of cpu and memory,
// restartPolicy, activeDeadlineSeconds, terminationGracePeriodSeconds, nodeName, nodeSelector, tolerations, readinessGates, probes, postStart,
// preStop, hostNetwork, imagePullSecrets; hostname, setHostnameAsFQDN, subdomain, dnsPolicy, dnsConfig, hostAliases; runAsUser, runAsGroup,
// runAsNonRoot, privileged and readOnlyRootFilesystem, fsGroup and supplementalGroups of the security contexts; ports;
// volumes that need nothing but this machine and the API server, volumeMounts, serviceAccountName, automountServiceAccountToken.
var warned = newTable([]rule{
	set[corev1.PodSpec](`affinity ephemeralContainers hostIPC hostPID hostnameOverride overhead resourceClaims
		resources runtimeClassName topologySpreadConstraints`, inert),
	set[corev1.PodSpec]("shareProcessNamespace", inertUnless(false)),
	set[corev1.PodSpec]("hostUsers", inertUnless(true)),
	set[corev1.PodSpec]("os", inertUnless(corev1.PodOS{Name: corev1.Linux})),
	set[corev1.PodSpec]("priorityClassName", worth("orders the waiting pods, but nothing in this version preempts running ones for it")),
	set[corev1.PodSecurityContext](`appArmorProfile fsGroupChangePolicy seLinuxChangePolicy seLinuxOptions seccompProfile
		supplementalGroupsPolicy sysctls windowsOptions`, inert),
	set[corev1.Container]("resizePolicy restartPolicyRules stdinOnce volumeDevices", inert),
	set[corev1.VolumeMount]("mountPropagation", inertUnless(corev1.MountPropagationNone)),
	set[corev1.VolumeMount]("recursiveReadOnly", inertUnless(corev1.RecursiveReadOnlyDisabled)),
	set[corev1.VolumeSource](`awsElasticBlockStore azureDisk azureFile cephfs cinder csi ephemeral fc flexVolume flocker gcePersistentDisk gitRepo glusterfs image iscsi
		nfs persistentVolumeClaim photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos vsphereVolume`, unmountable),
	set[corev1.VolumeProjection]("clusterTrustBundle podCertificate", unmountable),
	each(func(at *field.Path, s *corev1.EmptyDirVolumeSource) field.ErrorList {
		return when(s.SizeLimit != nil && s.Medium != corev1.StorageMediumMemory, warning(at.Child("sizeLimit"), "limits only emptyDirs of medium Memory in this version"))
	}),
	set[corev1.Container]("terminationMessagePath", inertUnless(corev1.TerminationMessagePathDefault)),
	set[corev1.Container]("terminationMessagePolicy", inertUnless(corev1.TerminationMessageReadFile)),
	set[corev1.Lifecycle]("stopSignal", inert),
	set[corev1.ResourceRequirements]("claims", inert),
	set[corev1.SecurityContext]("allowPrivilegeEscalation appArmorProfile capabilities seLinuxOptions seccompProfile windowsOptions", inert),
	set[corev1.SecurityContext]("procMount", inertUnless(corev1.DefaultProcMount)),
	set[corev1.ServiceSpec]("loadBalancerClass loadBalancerIP loadBalancerSourceRanges trafficDistribution", inert),
	set[discoveryv1.Endpoint]("hints", inert),
	set[corev1.NodeSpec]("configSource podPreemptionPolicy providerID", inert),
	set[coordinationv1.LeaseSpec]("preferredHolder strategy", inert),
}, mistakes)

// mistakes is what an author most likely did not mean.
var mistakes = []rule{
	fields[corev1.PodSpec]("imagePullSecrets", some(func(at *field.Path, refs []corev1.LocalObjectReference) (found field.ErrorList) {
		for i, ref := range refs {
			found = append(found, when(ref.Name == "", warning(at.Index(i).Child("name"), `invalid empty name ""`))...)
		}
		return found
	})),
	fields[corev1.PodSpec]("terminationGracePeriodSeconds", some(func(at *field.Path, seconds int64) field.ErrorList {
		return when(seconds < 0, warning(at, "must be >= 0; negative values are invalid and will be treated as 1"))
	})),
	// Of two variables of a name the later wins, which is only meant when it is made of the earlier one.
	fields[corev1.Container]("env", some(func(at *field.Path, env []corev1.EnvVar) (found field.ErrorList) {
		seen := map[string]bool{}
		for i, e := range env {
			earlier := "$(" + e.Name + ")"
			builtOn := e.ValueFrom == nil && e.Value != earlier && strings.Contains(e.Value, earlier)
			found = append(found, when(seen[e.Name] && !builtOn, warning(at.Index(i), fmt.Sprintf("hides previous definition of %q, which may be dropped when using apply", e.Name)))...)
			seen[e.Name] = true
		}
		return found
	})),
}

// set makes a rule about fields that are set: behind a pointer to anything, else to all but zero.
func set[T any](names string, c check) rule {
	return about[T](names, func(v reflect.Value) reflect.Value {
		if v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
			return reflect.Value{}
		}
		return v
	}, c)
}

var unmountable = worth("is not known to the agents of this version: a pod that wants one does not start")

var inert = worth("is stored, but nothing in this version acts on it")

func worth(note string) check {
	return func(at *field.Path, _ reflect.Value) field.ErrorList { return field.ErrorList{warning(at, note)} }
}

// inertUnless warns of all values but one that asks for nothing, usually the default.
func inertUnless[V comparable](quiet V) check {
	return func(at *field.Path, v reflect.Value) field.ErrorList {
		if p, ok := v.Interface().(*V); v.Interface() == any(quiet) || ok && deref(p) == quiet {
			return nil
		}
		return inert(at, v)
	}
}

// A warning goes the way of a fault, but refuses nothing.
func warning(at *field.Path, note string) *field.Error {
	return &field.Error{Field: at.String(), Detail: note}
}

// warnings is Rules.Warnings of every kind that has some.
func warnings(o api.Object) (sentences []string) {
	if k := api.Builtin.Of(o); slices.Contains(api.Waiting, k) {
		return []string{fmt.Sprintf("%s %s: is stored, but nothing in this version acts on it", k.Singular, o.GetName())}
	}
	for _, w := range warned.walk(nil, reflect.ValueOf(o)) {
		sentences = append(sentences, w.Field+": "+w.Detail)
	}
	return sentences
}
