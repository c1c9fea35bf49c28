package pod

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"

	"optimist/agent/images"
	"optimist/agent/runtime"
	"optimist/internal/api"
)

// actions are what the verbs do. Each is idempotent; all but Stop run one at a time.
var actions = map[Verb]func(w *Worker, ctx context.Context, v View, s Step) error{
	Confirm:        (*Worker).confirm,
	FindImage:      (*Worker).findImage,
	Pull:           (*Worker).pull,
	StartSandbox:   (*Worker).startSandbox,
	AttachNetwork:  (*Worker).attachNetwork,
	DetachNetwork:  (*Worker).detachNetwork,
	StartContainer: (*Worker).startContainer,
	Stop:           (*Worker).stop,
	Remove:         (*Worker).remove,
	RemoveSandbox:  (*Worker).removeSandbox,
	WriteStatus:    (*Worker).writeStatus,
	DeletePod:      (*Worker).deletePod,
}

// failure is an error with the reason that a waiting container shows for it.
type failure struct {
	reason string
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func (w *Worker) findImage(ctx context.Context, v View, s Step) error {
	c := containerNamed(v.Pod, s.Container)
	if err := images.Check(c.Image); err != nil {
		return &failure{invalidImageName, fmt.Errorf("Failed to apply default image tag %q: %w", c.Image, err)}
	}
	image, err := w.host.Images.Find(ctx, c.Image)
	switch {
	case err == nil:
		w.memory.Images[s.Container] = image
		w.say(ctx, v, corev1.EventTypeNormal, "Pulled", fmt.Sprintf("Container image %q already present on machine", c.Image))
		return nil
	case !errors.Is(err, runtime.ErrNoImage):
		return &failure{errImagePull, err}
	case c.ImagePullPolicy == corev1.PullNever:
		return &failure{errImageNeverPull, fmt.Errorf("Container image %q is not present with pull policy of Never", c.Image)}
	}
	w.memory.Absent[s.Container] = true
	return nil
}

func (w *Worker) pull(ctx context.Context, v View, s Step) error {
	c := containerNamed(v.Pod, s.Container)
	if err := images.Check(c.Image); err != nil {
		return &failure{invalidImageName, fmt.Errorf("Failed to apply default image tag %q: %w", c.Image, err)}
	}
	w.say(ctx, v, corev1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", c.Image))
	began := time.Now()
	image, err := w.host.Images.Pull(ctx, c.Image, c.ImagePullPolicy == corev1.PullAlways, w.keys(ctx, v))
	if err != nil {
		w.say(ctx, v, corev1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: %v", c.Image, err))
		w.say(ctx, v, corev1.EventTypeWarning, "Failed", "Error: "+errImagePull)
		return &failure{errImagePull, err}
	}
	w.memory.Images[s.Container] = image
	w.say(ctx, v, corev1.EventTypeNormal, "Pulled", fmt.Sprintf("Successfully pulled image %q in %v. Image size: %d bytes.",
		c.Image, time.Since(began).Round(time.Millisecond), image.Size))
	return nil
}

// keys are the pod's logins. A Secret that misses is told about but does not stop the pull: the image may be public.
func (w *Worker) keys(ctx context.Context, v View) images.Keyring {
	var keys images.Keyring
	for _, ref := range v.Pod.Spec.ImagePullSecrets {
		secret, err := w.host.References.Secret(ctx, api.Key{Namespace: v.Pod.Namespace, Name: ref.Name})
		if err == nil {
			keys, err = keys.Add(secret)
		}
		if err != nil {
			w.say(ctx, v, corev1.EventTypeWarning, "FailedToRetrieveImagePullSecret",
				fmt.Sprintf("Unable to use the image pull secret %s; attempting to pull the image may not succeed: %v", ref.Name, err))
		}
	}
	return keys
}

func (w *Worker) startSandbox(ctx context.Context, v View, _ Step) error {
	done, err := w.slot(ctx)
	if err != nil {
		return err
	}
	defer done()
	_, err = w.host.Runtime.StartSandbox(ctx, sandboxSpec(v.Pod))
	return err
}

// slot is one of the few starts that the node does at the same time.
func (w *Worker) slot(ctx context.Context) (done func(), err error) {
	select {
	case w.host.Starts <- struct{}{}:
		return func() { <-w.host.Starts }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *Worker) attachNetwork(ctx context.Context, v View, _ Step) error {
	done, err := w.slot(ctx)
	if err != nil {
		return err
	}
	defer done()
	a, err := w.host.Network.Attach(ctx, w.uid, v.Sandbox.NetNS, v.Sandbox.Address)
	if err != nil {
		return err
	}
	return w.host.Runtime.SetAddress(ctx, w.uid, a)
}

func (w *Worker) detachNetwork(ctx context.Context, _ View, _ Step) error {
	if err := w.host.Network.Detach(ctx, w.uid); err != nil {
		return err
	}
	return w.host.Runtime.SetAddress(ctx, w.uid, netip.Addr{})
}

func (w *Worker) startContainer(ctx context.Context, v View, s Step) error {
	done, err := w.slot(ctx)
	if err != nil {
		return err
	}
	defer done()
	spec, err := w.host.containerSpec(ctx, v, s, w.memory.Images[s.Container])
	if err != nil {
		return &failure{createContainerConfigError, err}
	}
	err = w.host.Runtime.StartContainer(ctx, spec)
	if errors.Is(err, runtime.ErrCannotRun) {
		w.say(ctx, v, corev1.EventTypeWarning, "Failed", "Error: "+err.Error())
		err = nil // State tells the rest: the attempt has failed like one that ran
	} else if err == nil {
		w.say(ctx, v, corev1.EventTypeNormal, "Created", "Created container: "+s.Container)
		w.say(ctx, v, corev1.EventTypeNormal, "Started", "Started container "+s.Container)
	}
	if err != nil && !errors.Is(err, runtime.ErrNoImage) {
		return &failure{createContainerError, err}
	}
	delete(w.memory.Images, s.Container)
	delete(w.memory.Absent, s.Container)
	return err // the image was removed under our hands: it is looked for again
}

func (w *Worker) stop(ctx context.Context, v View, s Step) error {
	w.say(ctx, v, corev1.EventTypeNormal, "Killing", "Stopping container "+s.ID.Name)
	return w.host.Runtime.Stop(ctx, s.ID, s.Grace)
}

func (w *Worker) remove(ctx context.Context, _ View, s Step) error {
	if err := w.host.Runtime.Remove(ctx, s.ID); err != nil {
		return err
	}
	if w.host.Root == "" {
		return nil
	}
	if err := os.Remove(LogPath(w.host.Root, w.key, s.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (w *Worker) removeSandbox(ctx context.Context, _ View, _ Step) error {
	if err := w.host.Network.Detach(ctx, w.uid); err != nil {
		return err
	}
	if w.host.Root != "" {
		if err := os.RemoveAll(LogDir(w.host.Root, w.key, w.uid)); err != nil {
			return err
		}
	}
	return w.host.Runtime.RemoveSandbox(ctx, w.uid)
}
