package pod

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"optimist/agent/runtime"
	"optimist/agent/runtime/sim"
)

// anyPod has up to two init containers and one to three others, each with the exit code with which it ends; -1 = it runs for ever.
func anyPod(t *rapid.T) (*corev1.Pod, map[string]int) {
	codes := map[string]int{}
	list := func(prefix string, n int, least int) []corev1.Container {
		var all []corev1.Container
		for i := range n {
			c := corev1.Container{Name: fmt.Sprintf("%s%d", prefix, i), Image: "nginx", ImagePullPolicy: corev1.PullIfNotPresent}
			codes[c.Name] = rapid.IntRange(least, 2).Draw(t, c.Name)
			if codes[c.Name] >= 0 {
				c.Args = []string{fmt.Sprintf("sim:exit=%d", codes[c.Name]), fmt.Sprintf("sim:after=%ds", rapid.IntRange(0, 3).Draw(t, "after"))}
			}
			all = append(all, c)
		}
		return all
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: "u"}}
	pod.Spec.RestartPolicy = rapid.SampledFrom([]corev1.RestartPolicy{"Always", "OnFailure", "Never"}).Draw(t, "policy")
	pod.Spec.InitContainers = list("i", rapid.IntRange(0, 2).Draw(t, "inits"), 0)
	pod.Spec.Containers = list("c", rapid.IntRange(1, 3).Draw(t, "containers"), -1)
	return pod, codes
}

// expected is the phase in which such a pod stays.
func expected(pod *corev1.Pod, codes map[string]int) corev1.PodPhase {
	policy := pod.Spec.RestartPolicy
	for _, c := range pod.Spec.InitContainers {
		if codes[c.Name] != 0 && policy == corev1.RestartPolicyNever {
			return corev1.PodFailed
		} else if codes[c.Name] != 0 {
			return corev1.PodPending
		}
	}
	phase := corev1.PodSucceeded
	for _, c := range pod.Spec.Containers {
		switch code := codes[c.Name]; {
		case code < 0, policy == corev1.RestartPolicyAlways, code > 0 && policy == corev1.RestartPolicyOnFailure:
			return corev1.PodRunning
		case code > 0:
			phase = corev1.PodFailed
		}
	}
	return phase
}

// once refuses to start what was started before: the runtime would forgive it, the plan must not need that.
type once struct {
	*sim.Runtime
	started map[runtime.ContainerID]bool
}

// do applies a step to the simulator and to the Pod, as the worker would.
func (o once) do(ctx context.Context, v *View, s Step) error {
	switch s.Do {
	case FindImage:
		v.Memory.Absent[s.Container] = true
	case Pull:
		image, err := o.Pull(ctx, "nginx", runtime.Credentials{})
		v.Memory.Images[s.Container] = image
		return err
	case StartSandbox:
		spec, _, err := new(Host).sandboxSpec(v.Pod)
		if err == nil {
			_, err = o.StartSandbox(ctx, spec)
		}
		return err
	case AttachNetwork:
		return o.SetAddress(ctx, v.Pod.UID, netip.MustParseAddr("10.0.0.1"), "")
	case DetachNetwork:
		return o.SetAddress(ctx, v.Pod.UID, netip.Addr{}, "")
	case StartContainer:
		if o.started[s.ID] {
			return fmt.Errorf("%s was started before", s.ID)
		}
		o.started[s.ID] = true
		delete(v.Memory.Images, s.Container)
		return o.StartContainer(ctx, runtime.ContainerSpec{ID: s.ID, Image: "nginx", Args: containerNamed(v.Pod, s.Container).Args,
			Labels: map[string]string{labelStreak: fmt.Sprint(s.Streak)}})
	case Stop:
		return o.Stop(ctx, s.ID, s.Grace)
	case Remove:
		return o.Remove(ctx, s.ID)
	case RemoveSandbox:
		return o.RemoveSandbox(ctx, v.Pod.UID)
	case WriteStatus:
		v.Pod = v.Pod.DeepCopy()
		v.Pod.Status = *s.Status
	case Wait:
		time.Sleep(time.Until(s.Until))
	}
	return nil
}

// settle plans and acts until the time is over, or so many steps are done.
func (o once) settle(ctx context.Context, v *View, until time.Time) error {
	for range 400 {
		v.Sandbox = nil
		state, _ := o.State(ctx)
		if len(state) > 0 {
			v.Sandbox = &state[0]
		}
		steps := Plan(*v, time.Now())
		if len(steps) == 0 {
			steps = []Step{{Do: Wait, Until: time.Now().Add(time.Second)}} // something may happen by itself
		}
		for _, s := range steps {
			if s.Do == DeletePod || !time.Now().Before(until) {
				return nil
			}
			if s.Do == Wait && s.Until.After(time.Now().Add(time.Second)) {
				s.Until = time.Now().Add(time.Second)
			}
			if err := o.do(ctx, v, s); err != nil {
				return fmt.Errorf("%s, because %s: %w", told(s), s.Why, err)
			}
		}
	}
	return fmt.Errorf("the plan does not come to rest: %s", tell(Plan(*v, time.Now())))
}

// TestPlansReachTheirEnd: whatever the pod, the plan applied to the simulator leads to the phase that its policy demands, starts no attempt
// twice, and after a deletion leaves nothing but the deletion itself.
func TestPlansReachTheirEnd(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		pod, codes := anyPod(r)
		var err error
		synctest.Test(t, func(t *testing.T) { err = live(t.Context(), pod, expected(pod, codes)) })
		if err != nil {
			r.Fatal(err)
		}
	})
}

// live leads a pod through its life and its deletion.
func live(ctx context.Context, pod *corev1.Pod, phase corev1.PodPhase) error {
	o := once{Runtime: sim.New(), started: map[runtime.ContainerID]bool{}}
	v := View{Pod: pod, Memory: newMemory(), Node: Node{Name: "n1", IP: "192.0.2.1", Runtime: "sim"}}
	err := o.settle(ctx, &v, time.Now().Add(2*time.Minute))
	if got := v.Pod.Status.Phase; err == nil && got != phase {
		err = fmt.Errorf("phase %s, want %s: %+v", got, phase, v.Pod.Status)
	}
	end := metav1.NewTime(time.Now().Add(30 * time.Second))
	v.Pod = v.Pod.DeepCopy()
	v.Pod.DeletionTimestamp = &end
	if err := errors.Join(err, o.settle(ctx, &v, time.Now().Add(time.Minute))); err != nil {
		return err
	}
	if state, _ := o.State(ctx); len(state) != 0 {
		return fmt.Errorf("left over: %+v", state)
	}
	if got := tell(Plan(v, time.Now())); got != "DeletePod" {
		return fmt.Errorf("at last: %s", got)
	}
	return nil
}
