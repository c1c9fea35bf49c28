package pod

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
)

// environment is a container's variables in the order of their definition; later ones may refer to earlier ones.
type environment struct {
	names  []string
	values map[string]string
}

func (e *environment) set(name, value string) {
	if _, known := e.values[name]; !known {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

// list is NAME=value.
func (e *environment) list() []string {
	all := make([]string, 0, len(e.names))
	for _, name := range e.names {
		all = append(all, name+"="+e.values[name])
	}
	return all
}

// expand replaces $(NAME) by the value of a variable that is known; $$ stands for one $.
func (e *environment) expand(s string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(s, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		name, rest, closed := strings.Cut(strings.TrimPrefix(after, "("), ")")
		value, known := e.values[name]
		switch {
		case strings.HasPrefix(after, "$"):
			out.WriteByte('$')
			s = after[1:]
		case strings.HasPrefix(after, "(") && closed && known:
			out.WriteString(value)
			s = rest
		case strings.HasPrefix(after, "(") && closed: // unknown: stays as it is
			out.WriteString("$(" + name + ")")
			s = rest
		default:
			out.WriteByte('$')
			s = after
		}
	}
}

func (e *environment) expandAll(all []string) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = e.expand(s)
	}
	return out
}

// environment reads everything that a container's variables come from. Its errors name the object and the key that miss.
func (h *Host) environment(ctx context.Context, v View, c *corev1.Container) (*environment, error) {
	e := &environment{values: map[string]string{}}
	for _, from := range c.EnvFrom {
		if err := h.envFrom(ctx, v.Pod.Namespace, from, e); err != nil {
			return nil, err
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

// envFrom takes over a whole ConfigMap or Secret.
func (h *Host) envFrom(ctx context.Context, namespace string, from corev1.EnvFromSource, e *environment) error {
	var data map[string]string
	var err error
	var optional *bool
	switch {
	case from.ConfigMapRef != nil:
		optional = from.ConfigMapRef.Optional
		data, err = h.References.configMap(ctx, api.Key{Namespace: namespace, Name: from.ConfigMapRef.Name})
	case from.SecretRef != nil:
		optional = from.SecretRef.Optional
		data, err = h.References.secret(ctx, api.Key{Namespace: namespace, Name: from.SecretRef.Name})
	}
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	if err != nil {
		return worded(err)
	}
	for _, name := range slices.Sorted(maps.Keys(data)) {
		e.set(from.Prefix+name, data[name])
	}
	return nil
}

// valueFrom reads one value; ok is false when what it names is optional and misses.
func (h *Host) valueFrom(ctx context.Context, v View, c *corev1.Container, from *corev1.EnvVarSource) (value string, ok bool, err error) {
	ns := v.Pod.Namespace
	switch {
	case from.FieldRef != nil:
		value, err = field(v, from.FieldRef.FieldPath)
		return value, err == nil, err
	case from.ResourceFieldRef != nil:
		value, err = resourceField(v, c, from.ResourceFieldRef)
		return value, err == nil, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		data, err := h.References.configMap(ctx, api.Key{Namespace: ns, Name: ref.Name})
		return pick(data, err, ref.Key, "ConfigMap "+ns+"/"+ref.Name, ref.Optional)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		data, err := h.References.secret(ctx, api.Key{Namespace: ns, Name: ref.Name})
		return pick(data, err, ref.Key, "Secret "+ns+"/"+ref.Name, ref.Optional)
	}
	return "", false, fmt.Errorf("a variable's valueFrom is of a kind that this agent does not know")
}

func pick(data map[string]string, err error, key, where string, optional *bool) (string, bool, error) {
	may := optional != nil && *optional
	value, found := data[key]
	switch {
	case err == nil && found:
		return value, true, nil
	case may && (err == nil || apierrors.IsNotFound(err)):
		return "", false, nil
	case err != nil:
		return "", false, worded(err)
	default:
		return "", false, fmt.Errorf("couldn't find key %s in %s", key, where)
	}
}

// worded shortens the API's NotFound to what people look for: configmap "x" not found.
func worded(err error) error {
	var status apierrors.APIStatus
	if s, ok := err.(apierrors.APIStatus); ok && apierrors.IsNotFound(err) {
		status = s
		if d := status.Status().Details; d != nil {
			return fmt.Errorf("%s %q not found", strings.TrimSuffix(d.Kind, "s"), d.Name)
		}
	}
	return err
}
