package describe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func pod(_ context.Context, c Cluster, o *corev1.Pod) rows {
	node := cmp.Or(o.Spec.NodeName, "<none>")
	if o.Spec.NodeName != "" {
		node += "/" + o.Status.HostIP
	}
	conditions := below(texts(o.Status.Conditions, func(c corev1.PodCondition) string { return fmt.Sprintf("%s \t%s ", c.Type, c.Status) }))
	if len(conditions) > 0 {
		conditions = append(below{"Type\tStatus"}, conditions...)
	}
	status := rows{"Status", o.Status.Phase}
	if o.DeletionTimestamp != nil {
		status = rows{"Status", fmt.Sprintf("Terminating (lasts %s)", c.since(o.DeletionTimestamp.Time)),
			"Termination Grace Period", fmt.Sprintf("%ds", valueOr(o.DeletionGracePeriodSeconds, 0))}
	}
	return slices.Concat(
		rows{"Name", o.Name, "Namespace", o.Namespace, "Priority", valueOr(o.Spec.Priority, 0), "Priority Class Name?", o.Spec.PriorityClassName,
			"Service Account?", o.Spec.ServiceAccountName, "Node", node, "Start Time?", o.Status.StartTime},
		marks(o), status,
		rows{"Reason?", o.Status.Reason, "Message?", o.Status.Message, "IP", o.Status.PodIP,
			"IPs", each(o.Status.PodIPs, func(ip corev1.PodIP) rows { return rows{"IP", ip.IP} }), "Controlled By?", controller(o),
			"Init Containers?", containers(o.Spec.InitContainers, o.Status.InitContainerStatuses),
			"Containers?", containers(o.Spec.Containers, o.Status.ContainerStatuses), "Conditions?", conditions,
			"Volumes", volumes(o.Spec.Volumes), "QoS Class", cmp.Or(string(o.Status.QOSClass), "<none>")},
		placement(o.Spec, ","))
}

func controller(o metav1.Object) string {
	if owner := metav1.GetControllerOf(o); owner != nil {
		return owner.Kind + "/" + owner.Name
	}
	return ""
}

// placement tells which nodes a pod may run on.
func placement(s corev1.PodSpec, between string) rows {
	byKey := slices.SortedStableFunc(slices.Values(s.Tolerations), func(a, b corev1.Toleration) int { return strings.Compare(a.Key, b.Key) })
	return rows{"Node-Selectors", cmp.Or(strings.Join(pairs(s.NodeSelector, "="), between), "<none>"), "Tolerations", beside(texts(byKey, toleration))}
}

func toleration(t corev1.Toleration) string {
	text := t.Key
	if t.Value != "" {
		text += "=" + t.Value
	}
	if t.Effect != "" {
		text += ":" + string(t.Effect)
	}
	if t.Operator == corev1.TolerationOpExists && t.Value == "" {
		text = strings.TrimPrefix(text+" op=Exists", " ")
	}
	if t.TolerationSeconds != nil {
		text += fmt.Sprintf(" for %ds", *t.TolerationSeconds)
	}
	return text
}

func volumes(all []corev1.Volume) (p parts) {
	for _, v := range all {
		p = append(p, part{v.Name, volume(v.VolumeSource)})
	}
	return p
}

// volume describes the sources that this version mounts; others are only named.
func volume(v corev1.VolumeSource) rows {
	switch {
	case v.EmptyDir != nil:
		size := "<unset>"
		if v.EmptyDir.SizeLimit != nil {
			size = v.EmptyDir.SizeLimit.String()
		}
		return rows{"Type", "EmptyDir (a temporary directory that shares a pod's lifetime)", "Medium", v.EmptyDir.Medium, "SizeLimit", size}
	case v.HostPath != nil:
		return rows{"Type", "HostPath (bare host directory volume)", "Path", v.HostPath.Path, "HostPathType", valueOr(v.HostPath.Type, "")}
	case v.ConfigMap != nil:
		return rows{"Type", "ConfigMap (a volume populated by a ConfigMap)", "Name", v.ConfigMap.Name, "Optional", valueOr(v.ConfigMap.Optional, false)}
	case v.Secret != nil:
		return rows{"Type", "Secret (a volume populated by a Secret)", "SecretName", v.Secret.SecretName, "Optional", valueOr(v.Secret.Optional, false)}
	case v.Projected != nil:
		return append(rows{"Type", "Projected (a volume that contains injected data from multiple sources)"}, each(v.Projected.Sources, projection)...)
	case v.DownwardAPI != nil:
		return rows{"Type", "DownwardAPI (a volume populated by information about the pod)"}
	}
	return rows{"Type", "<unknown>"}
}

func projection(s corev1.VolumeProjection) rows {
	switch {
	case s.ConfigMap != nil:
		return rows{"ConfigMapName", s.ConfigMap.Name}
	case s.Secret != nil:
		return rows{"SecretName", s.Secret.Name}
	case s.DownwardAPI != nil:
		return rows{"DownwardAPI", true}
	case s.ServiceAccountToken != nil:
		return rows{"TokenExpirationSeconds", valueOr(s.ServiceAccountToken.ExpirationSeconds, 0)}
	}
	return nil
}
