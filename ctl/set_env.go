package ctl

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"optimist/internal/api"
)

func setEnv(g *given, args []string) ([]string, func(api.Object) (string, error), error) {
	args, set, gone := pairs(args, "=")
	texts := g.list("env")
	if i := slices.Index(gone, ""); i >= 0 { // a lone "-": what standard input says
		gone = slices.Delete(gone, i, i+1)
		for in := bufio.NewScanner(g.InOrStdin()); in.Scan(); {
			texts = append(texts, in.Text())
		}
	}
	for _, text := range texts {
		if key, value, ok := strings.Cut(text, "="); ok {
			set = append(set, [2]string{key, value})
		}
	}
	vars, err := g.referred()
	for _, p := range set {
		if wrong := validation.IsEnvVarName(p[0]); len(wrong) > 0 {
			return nil, nil, fmt.Errorf("%q is not a valid environment variable name: %s", p[0], strings.Join(wrong, ";"))
		}
		vars = append(vars, corev1.EnvVar{Name: p[0], Value: p[1]})
	}
	switch {
	case err != nil:
		return nil, nil, err
	case len(g.list("keys")) > 0 && g.text("from") == "":
		return nil, nil, errors.New("when specifying --keys, a configmap or secret must be provided with --from")
	case len(vars)+len(gone) == 0 && !g.is("list"):
		return nil, nil, errors.New("at least one environment variable must be provided")
	}
	for i := range vars {
		vars[i].Name = g.text("prefix") + vars[i].Name
	}
	return args, func(o api.Object) (did string, wrong error) {
		err := containers(o, g.text("containers"), func(in *corev1.Container) { wrong = cmp.Or(wrong, g.setVars(o, in, vars, gone)) })
		if len(vars)+len(gone) > 0 {
			did = "env updated"
		}
		return did, cmp.Or(err, wrong)
	}, nil
}

// referred are variables for the keys of the object that --from names.
func (g *given) referred() (all []corev1.EnvVar, err error) {
	if g.text("from") == "" {
		return nil, nil
	}
	targets, err := g.named(g.Command, []string{g.text("from")})
	if err != nil || len(targets) != 1 {
		return nil, cmp.Or(err, errors.New("--from must name one object: configmap/NAME or secret/NAME"))
	}
	r, err := g.Get(g.Context(), targets[0], api.GetOptions{})
	if err != nil {
		return nil, err
	}
	var ref func(key string) *corev1.EnvVarSource
	name := corev1.LocalObjectReference{Name: targets[0].Key.Name}
	var keys []string
	switch o := r.Object.(type) {
	case *corev1.ConfigMap:
		keys = slices.Sorted(maps.Keys(o.Data))
		ref = func(key string) *corev1.EnvVarSource {
			return &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: name, Key: key}}
		}
	case *corev1.Secret:
		keys = slices.Sorted(maps.Keys(o.Data))
		ref = func(key string) *corev1.EnvVarSource {
			return &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: name, Key: key}}
		}
	default:
		return nil, errors.New("unsupported resource specified in --from")
	}
	for _, key := range keys {
		if only := g.list("keys"); len(only) == 0 || slices.Contains(only, key) {
			name := strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(key))
			if all = append(all, corev1.EnvVar{Name: name, ValueFrom: ref(key)}); name != key {
				g.tell(g.Command, fmt.Sprintf("key %s transferred to %s", key, name))
			}
		}
	}
	return all, nil
}

// setVars changes one container, and prints what it then has if that was asked for.
func (g *given) setVars(o api.Object, in *corev1.Container, vars []corev1.EnvVar, gone []string) error {
	in.Env = slices.DeleteFunc(slices.Clone(in.Env), func(v corev1.EnvVar) bool { return slices.Contains(gone, v.Name) })
	for _, v := range vars {
		i := slices.IndexFunc(in.Env, func(old corev1.EnvVar) bool { return old.Name == v.Name })
		switch {
		case i < 0:
			in.Env = append(in.Env, v)
		case !g.is("overwrite"):
			return fmt.Errorf("'%s' already has a value (%s), and --overwrite is false", v.Name, in.Env[i].Value)
		default:
			in.Env[i] = v
		}
	}
	if !g.is("list") {
		return nil
	}
	fmt.Fprintf(g.OutOrStdout(), "# %s %s, container %s\n", api.Builtin.Of(o).Name, o.GetName(), in.Name)
	for _, v := range in.Env {
		line := v.Name + "=" + v.Value
		if from := v.ValueFrom; from != nil {
			line = "# " + v.Name + " from "
			switch {
			case from.ConfigMapKeyRef != nil:
				line += fmt.Sprintf("configmap %s, key %s", from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key)
			case from.SecretKeyRef != nil:
				line += fmt.Sprintf("secret %s, key %s", from.SecretKeyRef.Name, from.SecretKeyRef.Key)
			case from.FieldRef != nil:
				line += "field path " + from.FieldRef.FieldPath
			case from.ResourceFieldRef != nil:
				line += "resource field " + from.ResourceFieldRef.Resource
			}
		}
		fmt.Fprintln(g.OutOrStdout(), line)
	}
	return nil
}
