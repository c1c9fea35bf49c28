package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
)

// defaultContainer names the container that is meant when a pod has several and the caller names none.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// podParams are the parameters of a pod's streams.
var podParams = map[string][]string{
	"log":    {"container", "follow", "previous", "tailLines", "limitBytes", "sinceSeconds", "sinceTime", "timestamps"},
	"exec":   {"container", "command", "stdin", "stdout", "stderr", "tty"},
	"attach": {"container", "stdin", "stdout", "stderr", "tty"},

	"portforward": {"port", "ports"},
	"proxy":       {"port"},
}

// components are the processes that a ComponentStatus names, by the identities under which they keep a connection.
var components = map[string]string{
	"apiserver":   api.UserAPIServer,
	"scheduler":   api.UserScheduler,
	"controllers": api.UserControllers,
}

// Connect implements api.Service: it finds out who can answer, and hands the stream over to them.
func (r *Registry) Connect(ctx context.Context, t api.Target, params url.Values) (api.Stream, error) {
	k, err := r.resource(t)
	if err != nil {
		return nil, err
	}
	if err := k.checkKey(t.Key, false); err != nil {
		return nil, err
	}
	component, t, params, err := r.route(ctx, k, t, maps.Clone(params))
	if err != nil {
		return nil, err
	}
	if r.options.Dialer == nil {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("%s is not connected to the API server", component))
	}
	c, err := r.options.Dialer.Dial(ctx, component)
	if _, worded := errors.AsType[*apierrors.StatusError](err); err != nil && !worded {
		err = apierrors.NewServiceUnavailable(fmt.Sprintf("%s is not connected to the API server: %v", component, err))
	}
	if err != nil {
		return nil, err
	}
	return c.Connect(ctx, t, params)
}

// route names the component behind a target, and completes target and parameters.
func (r *Registry) route(ctx context.Context, k *resource, t api.Target, params url.Values) (string, api.Target, url.Values, error) {
	switch {
	case k.Is(api.ComponentStatusKind) && t.Sub != "":
		component, ok := components[t.Key.Name]
		if !ok {
			return "", t, nil, k.NotFound(t.Key.Name)
		}
		return component, t, params, nil
	case t.Sub == "proxy":
		return r.proxied(ctx, k, t)
	case k.Is(api.NodeKind) && (t.Sub == "log" || t.Sub == "images"):
		_, err := r.connected(ctx, k, t)
		return api.NodePrefix + t.Key.Name, t, params, err
	case k.Is(api.PodKind) && podParams[t.Sub] != nil:
		o, err := r.connected(ctx, k, t)
		if err != nil {
			return "", t, nil, err
		}
		component, params, err := podRoute(o.(*corev1.Pod), t.Sub, params)
		return component, t, params, err
	}
	return "", t, nil, apierrors.NewMethodNotSupported(k.Resource(), "connect to "+t.Sub)
}

// connected reads the object whose stream is wanted, and asks the checkers.
func (r *Registry) connected(ctx context.Context, k *resource, t api.Target) (api.Object, error) {
	res, err := r.Get(ctx, api.Target{Kind: k.Kind, Version: t.Version, Key: t.Key}, api.GetOptions{})
	if err != nil {
		return nil, err
	}
	w := write{registry: r, resource: k, Request: api.Request{Target: t, Verb: api.VerbConnect}}
	return res.Object, w.check(ctx, nil, res.Object)
}

func podRoute(pod *corev1.Pod, sub string, params url.Values) (string, url.Values, error) {
	for name := range params {
		if !slices.Contains(podParams[sub], name) {
			return "", nil, apierrors.NewBadRequest(fmt.Sprintf("unknown parameter %q; %s takes %s", name, sub, strings.Join(podParams[sub], ", ")))
		}
	}
	if sub == "exec" && len(params["command"]) == 0 {
		return "", nil, apierrors.NewBadRequest("you must specify at least one command for the container")
	}
	var container string
	if slices.Contains(podParams[sub], "container") {
		var err error
		if container, err = chooseContainer(pod, params.Get("container")); err != nil {
			return "", nil, err
		}
	}
	if pod.Spec.NodeName == "" {
		return "", nil, apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned: it waits for the scheduler", pod.Name))
	}
	if params == nil {
		params = url.Values{}
	}
	if container != "" {
		params.Set("container", container)
	}
	return api.NodePrefix + pod.Spec.NodeName, params, nil
}

func chooseContainer(pod *corev1.Pod, asked string) (string, error) {
	main, start := names(pod.Spec.Containers), names(pod.Spec.InitContainers)
	choice := fmt.Sprintf("choose one of: [%s]", strings.Join(main, " "))
	if len(start) > 0 {
		choice += fmt.Sprintf(" or one of the init containers: [%s]", strings.Join(start, " "))
	}
	if asked == "" {
		asked = pod.Annotations[defaultContainer]
	}
	switch {
	case asked == "" && len(main) == 1:
		return main[0], nil
	case asked == "":
		return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, %s", pod.Name, choice))
	case !slices.Contains(main, asked) && !slices.Contains(start, asked):
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s, %s", asked, pod.Name, choice))
	}
	return asked, nil
}

func names(containers []corev1.Container) []string {
	var all []string
	for _, c := range containers {
		all = append(all, c.Name)
	}
	return all
}
