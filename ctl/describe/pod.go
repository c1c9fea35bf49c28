package describe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func pod(_ context.Context, p *page, o *corev1.Pod) {
	node := o.Spec.NodeName
	if node != "" {
		node += "/" + o.Status.HostIP
	}
	p.rows("Name", o.Name, "Namespace", o.Namespace, "Priority", valueOr(o.Spec.Priority, 0), "Priority Class Name?", o.Spec.PriorityClassName,
		"Service Account?", o.Spec.ServiceAccountName, "Node", orNone(node), "Start Time?", o.Status.StartTime)
	p.marks(o.ObjectMeta)
	p.podStatus(o)
	p.rows("Controlled By?", controller(o))
	p.containers("Init Containers", o.Spec.InitContainers, o.Status.InitContainerStatuses)
	p.containers("Containers", o.Spec.Containers, o.Status.ContainerStatuses)
	if len(o.Status.Conditions) > 0 {
		p.in("Conditions:", func() {
			p.line("Type\tStatus")
			for _, c := range o.Status.Conditions {
				p.line("%s \t%s ", c.Type, c.Status)
			}
		})
	}
	p.volumes(o.Spec.Volumes)
	p.rows("QoS Class", orNone(string(o.Status.QOSClass)))
	p.placement(o.Spec, ",")
}

func (p *page) podStatus(o *corev1.Pod) {
	if o.DeletionTimestamp == nil {
		p.rows("Status", o.Status.Phase)
	} else {
		p.rows("Status", fmt.Sprintf("Terminating (lasts %s)", p.since(o.DeletionTimestamp.Time)),
			"Termination Grace Period", fmt.Sprintf("%ds", valueOr(o.DeletionGracePeriodSeconds, 0)))
	}
	p.rows("Reason?", o.Status.Reason, "Message?", o.Status.Message, "IP", o.Status.PodIP)
	p.parts("IPs", len(o.Status.PodIPs), func(i int) { p.rows("IP", o.Status.PodIPs[i].IP) })
}

func controller(o metav1.Object) string {
	if owner := metav1.GetControllerOf(o); owner != nil {
		return owner.Kind + "/" + owner.Name
	}
	return ""
}

// placement tells which nodes a pod may run on.
func (p *page) placement(s corev1.PodSpec, between string) {
	p.rows("Node-Selectors", orNone(strings.Join(pairs(s.NodeSelector, "="), between)))
	var all []string
	for _, t := range slices.SortedStableFunc(slices.Values(s.Tolerations), func(a, b corev1.Toleration) int { return strings.Compare(a.Key, b.Key) }) {
		all = append(all, toleration(t))
	}
	p.list("Tolerations", all)
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

func (p *page) volumes(all []corev1.Volume) {
	if len(all) == 0 {
		p.rows("Volumes", "<none>")
		return
	}
	p.line("Volumes:")
	for _, v := range all {
		p.item(v.Name, func() { p.volume(v.VolumeSource) })
	}
}

// volume describes the sources that this version mounts; others are only named.
func (p *page) volume(v corev1.VolumeSource) {
	switch {
	case v.EmptyDir != nil:
		size := "<unset>"
		if v.EmptyDir.SizeLimit != nil {
			size = v.EmptyDir.SizeLimit.String()
		}
		p.rows("Type", "EmptyDir (a temporary directory that shares a pod's lifetime)", "Medium", v.EmptyDir.Medium, "SizeLimit", size)
	case v.HostPath != nil:
		p.rows("Type", "HostPath (bare host directory volume)", "Path", v.HostPath.Path, "HostPathType", valueOr(v.HostPath.Type, ""))
	case v.ConfigMap != nil:
		p.rows("Type", "ConfigMap (a volume populated by a ConfigMap)", "Name", v.ConfigMap.Name, "Optional", valueOr(v.ConfigMap.Optional, false))
	case v.Secret != nil:
		p.rows("Type", "Secret (a volume populated by a Secret)", "SecretName", v.Secret.SecretName, "Optional", valueOr(v.Secret.Optional, false))
	case v.Projected != nil:
		p.rows("Type", "Projected (a volume that contains injected data from multiple sources)")
		for _, s := range v.Projected.Sources {
			p.projection(s)
		}
	case v.DownwardAPI != nil:
		p.rows("Type", "DownwardAPI (a volume populated by information about the pod)")
	default:
		p.rows("Type", "<unknown>")
	}
}

func (p *page) projection(s corev1.VolumeProjection) {
	switch {
	case s.ConfigMap != nil:
		p.rows("ConfigMapName", s.ConfigMap.Name)
	case s.Secret != nil:
		p.rows("SecretName", s.Secret.Name)
	case s.DownwardAPI != nil:
		p.rows("DownwardAPI", true)
	case s.ServiceAccountToken != nil:
		p.rows("TokenExpirationSeconds", valueOr(s.ServiceAccountToken.ExpirationSeconds, 0))
	}
}
