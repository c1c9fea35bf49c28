package server

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/pod"
	"optimist/agent/runtime"
	"optimist/internal/api"
)

// defaultContainer is the annotation that names the container meant when nobody names one.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// pod finds the Pod of a request and the name of the container that it means.
func (s *Server) pod(t api.Target, params url.Values) (*corev1.Pod, string, error) {
	p, ok := s.config.Pods.Get(t.Key)
	if !ok {
		return nil, "", api.PodKind.NotFound(t.Key.Name)
	}
	var names []string
	for c := range pod.Containers(p) {
		names = append(names, c.Name)
	}
	name := cmp.Or(params.Get("container"), p.Annotations[defaultContainer])
	if name == "" && len(p.Spec.Containers) == 1 {
		name = p.Spec.Containers[0].Name
	}
	switch {
	case name == "":
		return nil, "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %v", p.Name, names))
	case !slices.Contains(names, name):
		return nil, "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s, choose one of: %v", name, p.Name, names))
	}
	return p, name, nil
}

// attempts returns the attempts at a container that the runtime still has, oldest first.
func (s *Server) attempts(ctx context.Context, pod types.UID, name string) ([]runtime.Container, error) {
	box, err := s.config.Runtime.Sandbox(ctx, pod)
	if err != nil || box == nil {
		return nil, err
	}
	return slices.DeleteFunc(box.Containers, func(c runtime.Container) bool { return c.ID.Name != name }), nil
}

// attempt returns the newest attempt, or the one before. One whose sandbox has died may still have its log on the disk.
func (s *Server) attempt(ctx context.Context, p *corev1.Pod, name string, previous bool) (runtime.Container, error) {
	all, err := s.attempts(ctx, p.UID, name)
	told := pod.StatusOf(p, name)
	switch {
	case err != nil:
		return runtime.Container{}, err
	case previous && len(all) < 2:
		return runtime.Container{}, apierrors.NewBadRequest(fmt.Sprintf("previous terminated container %q in pod %q not found", name, p.Name))
	case previous:
		return all[len(all)-2], nil
	case len(all) > 0:
		return all[len(all)-1], nil
	case told != nil && told.ContainerID != "" && s.config.Root != "":
		id := runtime.ContainerID{Pod: p.UID, Name: name, Attempt: int(told.RestartCount)}
		return runtime.Container{ID: id, Phase: runtime.Exited, LogPath: pod.LogPath(s.config.Root, api.KeyOf(p), id)}, nil
	}
	reason := "ContainerCreating"
	if told != nil && told.State.Waiting != nil {
		reason = told.State.Waiting.Reason
	}
	return runtime.Container{}, apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is waiting to start: %s", name, p.Name, reason))
}

// alive returns the newest attempt, which must be running.
func (s *Server) alive(ctx context.Context, pod *corev1.Pod, name string) (runtime.Container, error) {
	c, err := s.attempt(ctx, pod, name, false)
	if err == nil && c.Phase != runtime.Running {
		err = apierrors.NewBadRequest(fmt.Sprintf("container %s of pod %s does not run; it ended with exit code %d", name, pod.Name, c.ExitCode))
	}
	return c, err
}

func flag(params url.Values, name string) bool {
	on, _ := strconv.ParseBool(params.Get(name))
	return on
}
