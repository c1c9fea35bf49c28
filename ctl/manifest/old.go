package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// object is a document as maps and lists, which is what rewriting is about.
type object = map[string]any

// retired is a version of some kinds that no server knows any more, and what becomes of a document that is written in it. The numbers are the
// minor releases of Kubernetes v1 that deprecated it and took it out (the API lifecycle of k8s.io/api).
type retired struct {
	old, now    string
	since, gone int
	kinds       string
	fix         func(object) // what differs in the newer version; nil: nothing
}

var retirements = []retired{
	{"extensions/v1beta1", "networking.k8s.io/v1", 14, 22, "Ingress", newIngress},
	{"networking.k8s.io/v1beta1", "networking.k8s.io/v1", 19, 22, "Ingress", newIngress},
	{"networking.k8s.io/v1beta1", "networking.k8s.io/v1", 19, 22, "IngressClass", nil},
	{"networking.k8s.io/v1beta1", "networking.k8s.io/v1", 34, 37, "IPAddress ServiceCIDR", nil},
	{"extensions/v1beta1", "networking.k8s.io/v1", 9, 16, "NetworkPolicy", nil},
	{"extensions/v1beta1", "apps/v1", 8, 16, "Deployment ReplicaSet", newWorkload},
	{"extensions/v1beta1", "apps/v1", 8, 16, "DaemonSet", onDelete},
	{"apps/v1beta1", "apps/v1", 8, 16, "Deployment", newWorkload},
	{"apps/v1beta1", "apps/v1", 8, 16, "StatefulSet", onDelete},
	{"apps/v1beta1", "apps/v1", 8, 16, "ControllerRevision", nil},
	{"apps/v1beta2", "apps/v1", 9, 16, "Deployment ReplicaSet DaemonSet StatefulSet", newWorkload},
	{"apps/v1beta2", "apps/v1", 9, 16, "ControllerRevision", nil},
	{"batch/v1beta1", "batch/v1", 21, 25, "CronJob", nil},
	{"autoscaling/v2beta1", "autoscaling/v2", 22, 25, "HorizontalPodAutoscaler", newMetrics},
	{"autoscaling/v2beta2", "autoscaling/v2", 23, 26, "HorizontalPodAutoscaler", nil},
	{"policy/v1beta1", "policy/v1", 21, 25, "PodDisruptionBudget", nil},
	{"rbac.authorization.k8s.io/v1beta1", "rbac.authorization.k8s.io/v1", 17, 22, "Role ClusterRole RoleBinding ClusterRoleBinding", nil},
	{"scheduling.k8s.io/v1beta1", "scheduling.k8s.io/v1", 14, 22, "PriorityClass", nil},
	{"storage.k8s.io/v1beta1", "storage.k8s.io/v1", 19, 22, "StorageClass CSIDriver VolumeAttachment", nil},
	{"storage.k8s.io/v1beta1", "storage.k8s.io/v1", 17, 22, "CSINode", nil},
	{"storage.k8s.io/v1beta1", "storage.k8s.io/v1", 24, 27, "CSIStorageCapacity", nil},
	{"storage.k8s.io/v1beta1", "storage.k8s.io/v1", 34, 37, "VolumeAttributesClass", nil},
	{"coordination.k8s.io/v1beta1", "coordination.k8s.io/v1", 19, 22, "Lease", nil},
	{"discovery.k8s.io/v1beta1", "discovery.k8s.io/v1", 21, 25, "EndpointSlice", newEndpoints},
	{"node.k8s.io/v1beta1", "node.k8s.io/v1", 22, 25, "RuntimeClass", nil},
	{"certificates.k8s.io/v1beta1", "certificates.k8s.io/v1", 19, 22, "CertificateSigningRequest", nil},
	{"events.k8s.io/v1beta1", "events.k8s.io/v1", 22, 25, "Event", nil},
}

// modern returns a document in the version that replaced its own, and the warning that belongs to it; without a replacement, the document itself.
func modern(document []byte, apiVersion, kind string) (text []byte, version, warning string) {
	i := slices.IndexFunc(retirements, func(r retired) bool { return r.old == apiVersion && slices.Contains(strings.Fields(r.kinds), kind) })
	var o object
	if i < 0 || utiljson.Unmarshal(document, &o) != nil {
		return document, apiVersion, ""
	}
	r := retirements[i]
	if o["apiVersion"] = r.now; r.fix != nil {
		r.fix(o)
	}
	text, err := json.Marshal(o)
	if err != nil {
		return document, apiVersion, ""
	}
	return text, r.now, fmt.Sprintf("%s %s is deprecated in v1.%d+, unavailable in v1.%d+; use %s %[2]s", r.old, kind, r.since, r.gone, r.now)
}

// in walks along fields; what is not there, or is no object, is a nil map, which reads as empty.
func in(o object, path ...string) object {
	for _, name := range path {
		o, _ = o[name].(object)
	}
	return o
}

// items are the objects of a list.
func items(o object, name string) (all []object) {
	list, _ := o[name].([]any)
	for _, one := range list {
		if item, ok := one.(object); ok {
			all = append(all, item)
		}
	}
	return all
}

// move gives a field another name.
func move(o object, from, to string) {
	if value, ok := o[from]; ok {
		delete(o, from)
		o[to] = value
	}
}

func newIngress(o object) {
	spec := in(o, "spec")
	move(spec, "backend", "defaultBackend")
	newBackend(in(spec, "defaultBackend"))
	for _, rule := range items(spec, "rules") {
		for _, path := range items(in(rule, "http"), "paths") {
			if newBackend(in(path, "backend")); path["pathType"] == nil {
				path["pathType"] = "ImplementationSpecific"
			}
		}
	}
}

func newBackend(b object) {
	name, named := b["serviceName"]
	if !named {
		return
	}
	port := object{"number": b["servicePort"]}
	if text, ok := b["servicePort"].(string); ok {
		port = object{"name": text}
	}
	b["service"] = object{"name": name, "port": port}
	delete(b, "serviceName")
	delete(b, "servicePort")
}

// newWorkload writes out the selector, which used to be that of the pods' labels.
func newWorkload(o object) {
	spec := in(o, "spec")
	delete(spec, "rollbackTo")
	delete(spec, "templateGeneration")
	if labels := in(spec, "template", "metadata", "labels"); spec["selector"] == nil && labels != nil {
		spec["selector"] = object{"matchLabels": labels}
	}
}

// onDelete keeps what these kinds used to do unless they were told otherwise.
func onDelete(o object) {
	newWorkload(o)
	if spec := in(o, "spec"); spec != nil && in(spec, "updateStrategy")["type"] == nil {
		spec["updateStrategy"] = object{"type": "OnDelete"}
	}
}

// newMetrics gathers what v2beta1 said of a metric and of its target in fields of one level.
func newMetrics(o object) {
	for _, m := range items(in(o, "spec"), "metrics") {
		for _, source := range []string{"resource", "containerResource", "pods", "object", "external"} {
			s := in(m, source)
			if s == nil {
				continue
			}
			if source == "object" {
				move(s, "target", "describedObject")
			}
			target := object{}
			for _, f := range [][3]string{{"targetAverageUtilization", "averageUtilization", "Utilization"}, {"targetAverageValue", "averageValue", "AverageValue"},
				{"targetValue", "value", "Value"}, {"averageValue", "averageValue", "AverageValue"}} {
				if value, ok := s[f[0]]; ok {
					delete(s, f[0])
					target[f[1]], target["type"] = value, f[2]
				}
			}
			if s["target"] = target; s["metricName"] != nil {
				metric := object{"name": s["metricName"]}
				for _, old := range []string{"selector", "metricSelector"} {
					if s[old] != nil {
						metric["selector"] = s[old]
						delete(s, old)
					}
				}
				s["metric"] = metric
				delete(s, "metricName")
			}
		}
	}
}

// newEndpoints takes what has a field of its own now out of the topology.
func newEndpoints(o object) {
	for _, e := range items(o, "endpoints") {
		topology := in(e, "topology")
		for label, field := range map[string]string{"kubernetes.io/hostname": "nodeName", "topology.kubernetes.io/zone": "zone"} {
			if value, ok := topology[label]; ok && e[field] == nil {
				e[field] = value
				delete(topology, label)
			}
		}
		if move(e, "topology", "deprecatedTopology"); len(topology) == 0 {
			delete(e, "deprecatedTopology")
		}
	}
}

// moved says where fields of old versions went, for those who changed only the apiVersion: the kind and the end of the path.
var moved = map[string][][2]string{
	"Ingress": {{"backend.serviceName", "backend.service.name"}, {"backend.servicePort", "backend.service.port.number (or backend.service.port.name)"},
		{"defaultBackend.serviceName", "defaultBackend.service.name"}, {"defaultBackend.servicePort", "defaultBackend.service.port.number"}, {"spec.backend", "spec.defaultBackend"}},
	"HorizontalPodAutoscaler": {{"targetAverageUtilization", "target: {type: Utilization, averageUtilization: …}"}, {"targetAverageValue", "target: {type: AverageValue, averageValue: …}"},
		{"targetValue", "target: {type: Value, value: …}"}, {"metricName", "metric.name"}, {"metricSelector", "metric.selector"},
		{"targetCPUUtilizationPercentage", "a metric of type Resource, or keep apiVersion autoscaling/v1"}},
	"Deployment":    {{"spec.rollbackTo", "nothing: roll back with `ctl rollout undo`"}},
	"DaemonSet":     {{"spec.templateGeneration", "nothing: the server counts generations"}},
	"EndpointSlice": {{"topology", "nodeName and zone"}},
}

// whither is what to write instead of a field that newer versions do not have; "" if that is not known.
func whither(kind, path string) string {
	for _, m := range moved[kind] {
		if path == m[0] || strings.HasSuffix(path, "."+m[0]) {
			return path + ": write " + m[1]
		}
	}
	return ""
}
