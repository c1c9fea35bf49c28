package server

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/agent/pod"
	"optimist/agent/runtime"
	"optimist/internal/api"
)

// defaultContainer is the annotation that names the container meant when nobody names one.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// pod finds the Pod of a request and the name of the container that it means.
func (s *Server) pod(t api.Target, params url.Values) (*corev1.Pod, string, error) {
	pod, ok := s.config.Pods.Get(t.Key)
	if !ok {
		return nil, "", api.PodKind.NotFound(t.Key.Name)
	}
	names := containers(pod)
	name := params.Get("container")
	switch {
	case name == "" && pod.Annotations[defaultContainer] != "":
		name = pod.Annotations[defaultContainer]
	case name == "" && len(pod.Spec.Containers) == 1:
		name = pod.Spec.Containers[0].Name
	case name == "":
		return nil, "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: [%s]", pod.Name, strings.Join(names, " ")))
	}
	if slices.Contains(names, name) {
		return pod, name, nil
	}
	return nil, "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s, choose one of: [%s]", name, pod.Name, strings.Join(names, " ")))
}

func containers(pod *corev1.Pod) []string {
	var names []string
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			names = append(names, c.Name)
		}
	}
	return names
}

// attempts returns the attempts at a container that the runtime still has, oldest first.
func (s *Server) attempts(ctx context.Context, pod *corev1.Pod, name string) ([]runtime.Container, error) {
	box, err := s.config.Runtime.Sandbox(ctx, pod.UID)
	if err != nil || box == nil {
		return nil, err
	}
	var all []runtime.Container
	for _, c := range box.Containers {
		if c.ID.Name == name {
			all = append(all, c)
		}
	}
	return all, nil
}

// attempt returns the newest attempt, or the one before.
func (s *Server) attempt(ctx context.Context, pod *corev1.Pod, name string, previous bool) (runtime.Container, error) {
	all, err := s.attempts(ctx, pod, name)
	if err != nil {
		return runtime.Container{}, err
	}
	if previous {
		if len(all) < 2 {
			return runtime.Container{}, apierrors.NewBadRequest(fmt.Sprintf("previous terminated container %q in pod %q not found", name, pod.Name))
		}
		return all[len(all)-2], nil
	}
	if len(all) == 0 {
		if c, ok := s.remembered(pod, name); ok {
			return c, nil
		}
		return runtime.Container{}, apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is waiting to start: %s", name, pod.Name, waiting(pod, name)))
	}
	return all[len(all)-1], nil
}

// remembered is an attempt whose sandbox has died, but whose log is still on the disk.
func (s *Server) remembered(p *corev1.Pod, name string) (runtime.Container, bool) {
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if c.Name == name && c.ContainerID != "" && s.config.Root != "" {
			id := runtime.ContainerID{Pod: p.UID, Name: name, Attempt: int(c.RestartCount)}
			return runtime.Container{ID: id, Phase: runtime.Exited, LogPath: pod.LogPath(s.config.Root, api.KeyOf(p), id)}, true
		}
	}
	return runtime.Container{}, false
}

// waiting is why a container has not started, as the Pod's status tells it.
func waiting(pod *corev1.Pod, name string) string {
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if c.Name == name && c.State.Waiting != nil {
			return c.State.Waiting.Reason
		}
	}
	return "ContainerCreating"
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
