package ctl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"optimist/internal/api"
)

func runCommand(s *session) *cobra.Command {
	c := generate(s, manager+"-run", generator{"run NAME --image=IMAGE [--env=KEY=VALUE] [--port=PORT] [--command] -- [COMMAND] [ARG…]", "Run an image in a pod of its own", []flag{
		{"image!", "", "The image to run"}, {"env", repeated(nil), "KEY=VALUE"}, {"port", "", "The port that the container listens at"}, {"labels l", "", "The pod's labels: app=web,tier=front"},
		{"annotations", repeated(nil), "KEY=VALUE"}, {"restart", "Always", "What to do when it ends: Always, OnFailure or Never"}, {"image-pull-policy", "", "Always, IfNotPresent or Never"},
		{"command", false, "What follows -- is the command, not its arguments"}, {"privileged", false, "Run the container privileged"}, {"expose", false, "Make a Service too (needs --port)"},
		{"overrides", "", "A patch of the object, as JSON"}, {"override-type", "merge", "What kind of patch that is: json, merge or strategic"}}, "", buildPod})
	c.Example = "  ctl run web --image=web:1 --port=80\n  ctl run once --image=busybox:1 --restart=Never -- date\n  ctl run web --image=web:1 --dry-run=client -o yaml"
	return c
}

// buildPod makes a pod, and with --expose a Service to go with it.
func buildPod(g *given) (api.Object, error) {
	labels := map[string]string{"run": g.name}
	var wrong error
	if text := g.text("labels"); text != "" {
		labels, wrong = assignments("label", strings.Split(text, ",")...)
	}
	annotations, err := assignments("annotation", g.list("annotations")...)
	env, err2 := variables(g.list("env"))
	if err := errors.Join(wrong, err, err2,
		oneOf("invalid restart policy: %s, valid values are: Always, OnFailure, Never", g.text("restart"), "Always", "OnFailure", "Never"),
		oneOf("invalid image pull policy: %s, valid values are: Always, IfNotPresent, Never", g.text("image-pull-policy"), "", "Always", "IfNotPresent", "Never")); err != nil {
		return nil, err
	}
	c := corev1.Container{Name: g.name, Image: g.text("image"), ImagePullPolicy: corev1.PullPolicy(g.text("image-pull-policy")), Args: g.args, Env: env}
	if g.is("command") {
		c.Command, c.Args = g.args, nil
	}
	if yes := g.is("privileged"); yes {
		c.SecurityContext = &corev1.SecurityContext{Privileged: &yes}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: g.name, Labels: labels, Annotations: annotations},
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicy(g.text("restart")), DNSPolicy: corev1.DNSClusterFirst}}
	if text := g.text("port"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, errors.New("--port must be a number")
		}
		c.Ports = []corev1.ContainerPort{{ContainerPort: int32(n)}}
		if g.is("expose") {
			g.more = &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: g.name}, Spec: corev1.ServiceSpec{Selector: labels,
				Ports: []corev1.ServicePort{{Port: int32(n), Protocol: corev1.ProtocolTCP, TargetPort: intstr.Parse(text)}}}}
		}
	} else if g.is("expose") {
		return nil, errors.New("--port must be set when exposing a service")
	}
	pod.Spec.Containers = []corev1.Container{c}
	return pod, overridden(pod, g.text("override-type"), g.text("overrides"))
}

func variables(texts []string) (all []corev1.EnvVar, err error) {
	for _, text := range texts {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("invalid env: %v", text)
		}
		all = append(all, corev1.EnvVar{Name: key, Value: value})
	}
	return all, nil
}

func overridden(pod *corev1.Pod, how, text string) error {
	switch {
	case text == "":
		return nil
	case patches[how].apply == nil:
		return fmt.Errorf("invalid override type: %s", how)
	}
	return patched(pod, func(before []byte) ([]byte, error) { return patches[how].apply(before, []byte(text), pod) })
}
