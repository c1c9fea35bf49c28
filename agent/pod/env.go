package pod

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"optimist/agent/volume"
	"optimist/internal/api"
)

// environment is a container's variables as NAME=value, in the order of their definition; later ones may refer to earlier ones.
type environment []string

func (e environment) index(name string) int {
	name += "="
	return slices.IndexFunc(e, func(v string) bool { return strings.HasPrefix(v, name) })
}

func (e *environment) set(name, value string) {
	if i := e.index(name); i >= 0 {
		(*e)[i] = name + "=" + value
	} else {
		*e = append(*e, name+"="+value)
	}
}

var dollars = regexp.MustCompile(`\$\$|\$\([^)]*\)`)

// expand replaces $(NAME) by the value of a variable that is known; $$ stands for one $.
func (e environment) expand(s string) string {
	return dollars.ReplaceAllStringFunc(s, func(found string) string {
		if found == "$$" {
			return "$"
		}
		name := found[2 : len(found)-1]
		if i := e.index(name); i >= 0 {
			return e[i][len(name)+1:]
		}
		return found
	})
}

func (e environment) expandAll(all []string) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = e.expand(s)
	}
	return out
}

// environment reads everything that a container's variables come from. Its errors name the object and the key that miss.
func (h *Host) environment(ctx context.Context, v View, c *corev1.Container) (environment, error) {
	e := h.serviceVariables(v.Pod)
	for _, from := range c.EnvFrom {
		var data map[string]string
		var err error
		if r := from.ConfigMapRef; r != nil {
			data, err = h.data(ctx, api.ConfigMapKind, v.Pod.Namespace, r.Name, r.Optional)
		} else if r := from.SecretRef; r != nil {
			data, err = h.data(ctx, api.SecretKind, v.Pod.Namespace, r.Name, r.Optional)
		}
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(data)) {
			e.set(from.Prefix+name, data[name])
		}
	}
	for _, variable := range c.Env {
		value, ok, err := e.expand(variable.Value), true, error(nil)
		if variable.ValueFrom != nil {
			value, ok, err = h.valueFrom(ctx, v, c, variable.ValueFrom)
		}
		if err != nil {
			return nil, err
		}
		if ok {
			e.set(variable.Name, value)
		}
	}
	return e, nil
}

// serviceVariables tell where Services are, also as Docker's links once did: the API's, and those of the pod's namespace unless it wants none. What
// the pod itself defines comes later and wins.
func (h *Host) serviceVariables(p *corev1.Pod) (e environment) {
	if h.Services == nil {
		return nil
	}
	capital := func(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }
	var all []*corev1.Service
	if s, ok := h.Services.Get(api.Key{Namespace: corev1.NamespaceDefault, Name: "kubernetes"}); ok {
		all = append(all, s)
	}
	if p.Spec.EnableServiceLinks == nil || *p.Spec.EnableServiceLinks {
		all = slices.AppendSeq(all, h.Services.List(p.Namespace, nil))
	}
	at := map[string]int{} // index would be slow with thousands
	set := func(name, value string) {
		i, known := at[name]
		if !known {
			i, e = len(e), append(e, "")
			at[name] = i
		}
		e[i] = name + "=" + value
	}
	for _, s := range all {
		if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone || len(s.Spec.Ports) == 0 {
			continue
		}
		name, ip := capital(s.Name), s.Spec.ClusterIP
		set(name+"_SERVICE_HOST", ip)
		for i, port := range s.Spec.Ports {
			number, protocol := fmt.Sprint(port.Port), strings.ToLower(string(port.Protocol))
			link, url := fmt.Sprintf("%s_PORT_%s_%s", name, number, port.Protocol), fmt.Sprintf("%s://%s:%s", protocol, ip, number)
			if i == 0 {
				set(name+"_SERVICE_PORT", number)
				set(name+"_PORT", url)
			}
			if port.Name != "" {
				set(name+"_SERVICE_PORT_"+capital(port.Name), number)
			}
			set(link, url)
			set(link+"_PROTO", protocol)
			set(link+"_PORT", number)
			set(link+"_ADDR", ip)
		}
	}
	return e
}

// valueFrom reads one value; ok is false when what it names is optional and misses.
func (h *Host) valueFrom(ctx context.Context, v View, c *corev1.Container, from *corev1.EnvVarSource) (value string, ok bool, err error) {
	switch {
	case from.FieldRef != nil:
		value, err = field(v, from.FieldRef.FieldPath)
	case from.ResourceFieldRef != nil:
		value, err = resourceField(v, c, from.ResourceFieldRef)
	case from.ConfigMapKeyRef != nil:
		r := from.ConfigMapKeyRef
		return h.pick(ctx, api.ConfigMapKind, v.Pod.Namespace, r.Name, r.Key, r.Optional)
	case from.SecretKeyRef != nil:
		r := from.SecretKeyRef
		return h.pick(ctx, api.SecretKind, v.Pod.Namespace, r.Name, r.Key, r.Optional)
	default:
		err = fmt.Errorf("a variable's valueFrom is of a kind that this agent does not know")
	}
	return value, err == nil, err
}

func (h *Host) pick(ctx context.Context, kind *api.Kind, namespace, name, key string, optional *bool) (string, bool, error) {
	data, err := h.data(ctx, kind, namespace, name, optional)
	value, found := data[key]
	if err == nil && !found && !is(optional) {
		err = fmt.Errorf("couldn't find key %s in %s %s/%s", key, kind.Name, namespace, name)
	}
	return value, found, err
}

// data is what a ConfigMap or Secret holds; nothing, if it is optional and misses.
func (h *Host) data(ctx context.Context, kind *api.Kind, namespace, name string, optional *bool) (map[string]string, error) {
	return volume.Read(ctx, h.Service, kind, api.Key{Namespace: namespace, Name: name}, optional)
}

func is(b *bool) bool { return b != nil && *b }

// field is the downward API: a field of the pod by its path.
func field(v View, path string) (string, error) {
	if name, key, ok := strings.Cut(strings.TrimSuffix(path, "']"), "['"); ok {
		switch name {
		case "metadata.labels":
			return v.Pod.Labels[key], nil
		case "metadata.annotations":
			return v.Pod.Annotations[key], nil
		}
	}
	read := podFields[path]
	if read == nil {
		return "", fmt.Errorf("unsupported fieldPath: %s", path)
	}
	return read(v), nil
}

var podFields = map[string]func(View) string{
	"metadata.name":           func(v View) string { return v.Pod.Name },
	"metadata.namespace":      func(v View) string { return v.Pod.Namespace },
	"metadata.uid":            func(v View) string { return string(v.Pod.UID) },
	"metadata.labels":         func(v View) string { return volume.Lines(v.Pod.Labels) }, // these two in volumes only
	"metadata.annotations":    func(v View) string { return volume.Lines(v.Pod.Annotations) },
	"spec.nodeName":           func(v View) string { return v.Pod.Spec.NodeName },
	"spec.serviceAccountName": func(v View) string { return v.Pod.Spec.ServiceAccountName },
	"status.hostIP":           func(v View) string { return v.Node.IP },
	"status.hostIPs":          func(v View) string { return v.Node.IP },
	"status.podIP":            View.address,
	"status.podIPs":           View.address,
}

// downward is what a file of a volume tells of the pod.
func (v View) downward(f corev1.DownwardAPIVolumeFile) (string, error) {
	switch r := f.ResourceFieldRef; {
	case f.FieldRef != nil:
		return field(v, f.FieldRef.FieldPath)
	case r != nil && r.ContainerName != "":
		return resourceField(v, nil, r)
	}
	return "", fmt.Errorf("file %s names neither a field of the pod nor a resource of one of its containers", f.Path)
}

// resourceField is a request or limit of a container, in units of the divisor, rounded up; a limit that is not set is what the node has.
func resourceField(v View, c *corev1.Container, ref *corev1.ResourceFieldSelector) (string, error) {
	if ref.ContainerName != "" {
		if c = containerNamed(v.Pod, ref.ContainerName); c == nil {
			return "", fmt.Errorf("resourceFieldRef names the container %q, which the pod does not have", ref.ContainerName)
		}
	}
	list, name, _ := strings.Cut(ref.Resource, ".")
	lists := map[string][]corev1.ResourceList{"limits": {c.Resources.Limits, v.Node.Allocatable}, "requests": {c.Resources.Requests}}
	if lists[list] == nil {
		return "", fmt.Errorf("unsupported container resource : %s", ref.Resource)
	}
	var q resource.Quantity
	for _, l := range slices.Backward(lists[list]) {
		if set, ok := l[corev1.ResourceName(name)]; ok {
			q = set
		}
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	value, by := q.Value(), divisor.Value()
	if name == string(corev1.ResourceCPU) {
		value, by = q.MilliValue(), divisor.MilliValue()
	}
	return fmt.Sprint((value + by - 1) / by), nil
}
