package pod

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"optimist/agent/images"
	"optimist/agent/runtime"
	"optimist/internal/api"
)

// deed is what a verb does, and what its failure means.
type deed struct {
	do     func(w *Worker, ctx context.Context, v View, s Step) error // idempotent
	level  slog.Level                                                 // Info where the node or the cluster has changed
	starts bool                                                       // one of the few starts that a node does at the same time
	delay  func(count int) time.Duration                              // after a failure
	reason string                                                     // of a failure that brings none
	event  string                                                     // what a failure's Event begins with; "" = none
}

var deeds = map[Verb]deed{
	Confirm:        {do: (*Worker).confirm, level: slog.LevelDebug, delay: shortly},
	FindImage:      {do: (*Worker).findImage, level: slog.LevelDebug, delay: images.Delay, reason: errImagePull, event: "Error: "},
	Pull:           {do: (*Worker).pull, delay: images.Delay, reason: errImagePull},
	Mount:          {do: (*Worker).mount, delay: shortly}, // says itself what fails
	Unmount:        {do: (*Worker).unmount, level: slog.LevelDebug, delay: shortly, reason: "FailedKillPod", event: "error killing pod: "},
	StartSandbox:   {do: (*Worker).startSandbox, starts: true, delay: shortly, reason: "FailedCreatePodSandBox", event: "Failed to create pod sandbox: "},
	AttachNetwork:  {do: (*Worker).attachNetwork, starts: true, delay: shortly, reason: "FailedCreatePodSandBox", event: "Failed to attach the pod to the network: "},
	DetachNetwork:  {do: (*Worker).detachNetwork, delay: shortly},
	StartContainer: {do: (*Worker).startContainer, starts: true, delay: steadily, reason: createContainerError, event: "Error: "},
	PostStart:      {do: (*Worker).postStart, delay: shortly},
	Ask:            {do: (*Worker).ask, level: slog.LevelDebug, delay: shortly},
	Stop:           {do: (*Worker).stop, delay: shortly, reason: "FailedKillPod", event: "error killing pod: "},
	Remove:         {do: (*Worker).remove, level: slog.LevelDebug, delay: images.Delay},
	RemoveSandbox:  {do: (*Worker).removeSandbox, delay: shortly, reason: "FailedKillPod", event: "error killing pod: "},
	WriteStatus:    {do: (*Worker).writeStatus, delay: shortly},
	DeletePod:      {do: (*Worker).deletePod, delay: shortly},
}

// shortly is 1 s, doubled each time, up to half a minute.
func shortly(count int) time.Duration { return min(time.Second<<min(count-1, 5), 30*time.Second) }

// steadily is 10 s: what misses (a ConfigMap) may come at any time.
func steadily(int) time.Duration { return 10 * time.Second }

// failure is an error with the reason that a waiting container shows for it.
type failure struct {
	reason string
	error
}

func (w *Worker) say(ctx context.Context, kind, reason, format string, args ...any) {
	if w.pod != nil {
		w.host.Events.Event(ctx, w.pod, kind, reason, fmt.Sprintf(format, args...))
	}
}

// named is the container of a step whose image's name is one.
func named(v View, s Step) (*corev1.Container, error) {
	c := containerNamed(v.Pod, s.Container)
	if err := images.Check(c.Image); err != nil {
		return nil, failure{invalidImageName, fmt.Errorf("Failed to apply default image tag %q: %w", c.Image, err)}
	}
	return c, nil
}

func (w *Worker) findImage(ctx context.Context, v View, s Step) error {
	c, err := named(v, s)
	if err != nil {
		return err
	}
	image, err := w.host.Runtime.Image(ctx, c.Image)
	switch {
	case err == nil:
		w.memory.Images[s.Container] = image
		w.say(ctx, corev1.EventTypeNormal, "Pulled", "Container image %q already present on machine", c.Image)
		return nil
	case !errors.Is(err, runtime.ErrNoImage):
		return err
	case c.ImagePullPolicy == corev1.PullNever:
		return failure{errImageNeverPull, fmt.Errorf("Container image %q is not present with pull policy of Never", c.Image)}
	}
	w.memory.Absent[s.Container] = true
	return nil
}

func (w *Worker) pull(ctx context.Context, v View, s Step) error {
	c, err := named(v, s)
	if err != nil {
		return err
	}
	w.say(ctx, corev1.EventTypeNormal, "Pulling", "Pulling image %q", c.Image)
	began := time.Now()
	image, err := w.host.Images.Pull(ctx, c.Image, c.ImagePullPolicy == corev1.PullAlways, w.keys(ctx, v))
	if err != nil {
		w.say(ctx, corev1.EventTypeWarning, "Failed", "Failed to pull image %q: %v", c.Image, err)
		w.say(ctx, corev1.EventTypeWarning, "Failed", "Error: "+errImagePull)
		return err
	}
	w.memory.Images[s.Container] = image
	w.say(ctx, corev1.EventTypeNormal, "Pulled", "Successfully pulled image %q in %v. Image size: %d bytes.",
		c.Image, time.Since(began).Round(time.Millisecond), image.Size)
	return nil
}

// keys are the pod's logins. A Secret that misses is told about but does not stop the pull: the image may be public.
func (w *Worker) keys(ctx context.Context, v View) images.Keyring {
	var keys images.Keyring
	for _, ref := range v.Pod.Spec.ImagePullSecrets {
		secret, err := api.Secrets.Get(ctx, w.host.Service, api.Key{Namespace: v.Pod.Namespace, Name: ref.Name})
		if err == nil {
			keys, err = keys.Add(secret)
		}
		if err != nil {
			w.say(ctx, corev1.EventTypeWarning, "FailedToRetrieveImagePullSecret",
				"Unable to use the image pull secret %s; attempting to pull the image may not succeed: %v", ref.Name, err)
		}
	}
	return keys
}

func (w *Worker) mount(ctx context.Context, v View, _ Step) error {
	faults := w.host.Volumes.Mount(ctx, v.Pod, v.downward)
	for _, err := range faults {
		w.say(ctx, corev1.EventTypeWarning, "FailedMount", "%v", err)
	}
	return errors.Join(faults...)
}

func (w *Worker) unmount(context.Context, View, Step) error { return w.host.Volumes.Unmount(w.uid) }

func (w *Worker) startSandbox(ctx context.Context, v View, _ Step) error {
	spec, omitted, err := w.host.sandboxSpec(v.Pod)
	if err != nil {
		return err
	}
	for _, note := range omitted {
		w.say(ctx, corev1.EventTypeWarning, "DNSConfigForming", "%s", note)
	}
	_, err = w.host.Runtime.StartSandbox(ctx, spec)
	return err
}

func (w *Worker) attachNetwork(ctx context.Context, v View, _ Step) error {
	if by := w.host.taken(v.Pod); by != nil {
		return by
	}
	a, err := w.host.Network.Attach(ctx, w.uid, v.Sandbox.NetNS, v.Sandbox.Address)
	if err != nil {
		return err
	}
	return w.host.Runtime.SetAddress(ctx, w.uid, a, hosts(v.Pod, a))
}

func (w *Worker) detachNetwork(ctx context.Context, v View, _ Step) error {
	if err := w.host.Network.Detach(ctx, w.uid); err != nil {
		return err
	}
	return w.host.Runtime.SetAddress(ctx, w.uid, netip.Addr{}, v.Sandbox.Hosts)
}

func (w *Worker) startContainer(ctx context.Context, v View, s Step) error {
	spec, err := w.host.containerSpec(ctx, v, s, w.memory.Images[s.Container])
	if err != nil {
		return failure{createContainerConfigError, err}
	}
	switch err = w.host.Runtime.StartContainer(ctx, spec); {
	case err == nil:
		w.say(ctx, corev1.EventTypeNormal, "Created", "Created container: %s", s.Container)
		w.say(ctx, corev1.EventTypeNormal, "Started", "Started container %s", s.Container)
	case errors.Is(err, runtime.ErrCannotRun):
		w.say(ctx, corev1.EventTypeWarning, "Failed", "Error: %v", err)
		err = nil // State tells the rest: the attempt has failed like one that ran
	case !errors.Is(err, runtime.ErrNoImage):
		return err
	}
	delete(w.memory.Images, s.Container)
	delete(w.memory.Absent, s.Container)
	return err // the image was removed under our hands: it is looked for again
}

func (w *Worker) stop(ctx context.Context, v View, s Step) error {
	began := time.Now()
	if s.Probe != "" {
		w.say(ctx, corev1.EventTypeNormal, "Killing", "Container %s failed %s probe, will be restarted", s.ID.Name, strings.ToLower(string(s.Probe)))
	} else {
		w.say(ctx, corev1.EventTypeNormal, "Killing", "Stopping container %s", s.ID.Name)
	}
	w.preStop(ctx, v, s)
	return w.host.Runtime.Stop(ctx, s.ID, max(s.Grace-time.Since(began), minGrace))
}

func (w *Worker) remove(ctx context.Context, _ View, s Step) error {
	if err := w.host.Runtime.Remove(ctx, s.ID); err != nil || w.host.Root == "" {
		return err
	}
	return os.RemoveAll(LogPath(w.host.Root, w.key, s.ID))
}

func (w *Worker) removeSandbox(ctx context.Context, _ View, _ Step) error {
	err := w.host.Network.Detach(ctx, w.uid)
	if err == nil && w.host.Root != "" {
		err = os.RemoveAll(LogDir(w.host.Root, w.key, w.uid))
	}
	if err != nil {
		return err
	}
	return w.host.Runtime.RemoveSandbox(ctx, w.uid)
}
