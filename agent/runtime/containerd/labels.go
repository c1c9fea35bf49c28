package containerd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/client"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
)

// What a container is, and later how it ended, is kept as labels in containerd.
const (
	labelPod      = "optimist/pod"
	labelImage    = "optimist/image" // as the pod spells it
	labelImageID  = "optimist/image-id"
	labelLogPath  = "optimist/log"
	labelExitCode = "optimist/exit-code"
	labelReason   = "optimist/reason"
	labelMessage  = "optimist/message"
	labelStarted  = "optimist/started"
	labelFinished = "optimist/finished"
	labelOpaque   = "optimist.label/" // + the key of one of ContainerSpec.Labels
)

// ofPod is containerd's filter for the containers of a pod.
func ofPod(pod types.UID) string { return fmt.Sprintf("labels.%q==%q", labelPod, string(pod)) }

func labelsOf(spec runtime.ContainerSpec, imageID string) map[string]string {
	labels := map[string]string{labelPod: string(spec.ID.Pod), labelImage: spec.Image, labelImageID: imageID, labelLogPath: spec.LogPath}
	for key, value := range spec.Labels {
		labels[labelOpaque+key] = value
	}
	return labels
}

// recordExit adds how a container ended.
func recordExit(ctx context.Context, stored client.Container, c runtime.Container) error {
	const longest = 3000 // containerd takes labels of 4096 bytes, name included
	_, err := stored.SetLabels(ctx, map[string]string{
		labelExitCode: strconv.Itoa(c.ExitCode),
		labelReason:   c.Reason,
		labelMessage:  c.Message[:min(len(c.Message), longest)],
		labelStarted:  c.Started.UTC().Format(time.RFC3339Nano),
		labelFinished: c.Finished.UTC().Format(time.RFC3339Nano),
	})
	if err != nil {
		return fmt.Errorf("record the exit of %s: %w", stored.ID(), err)
	}
	return nil
}

// fromLabels is the inverse of labelsOf and recordExit; a container without an exit code is returned as Created.
func fromLabels(id runtime.ContainerID, labels map[string]string) runtime.Container {
	c := runtime.Container{
		ID: id, Image: labels[labelImage], ImageID: labels[labelImageID], LogPath: labels[labelLogPath],
		Labels: map[string]string{}, Phase: runtime.Created,
	}
	for key, value := range labels {
		if key, ok := strings.CutPrefix(key, labelOpaque); ok {
			c.Labels[key] = value
		}
	}
	if code, err := strconv.Atoi(labels[labelExitCode]); err == nil {
		c.Phase, c.ExitCode = runtime.Exited, code
		c.Reason, c.Message = labels[labelReason], labels[labelMessage]
		c.Started, _ = time.Parse(time.RFC3339Nano, labels[labelStarted])
		c.Finished, _ = time.Parse(time.RFC3339Nano, labels[labelFinished])
	}
	return c
}

// parseID undoes ContainerID.String: names of containers and uids have no dots.
func parseID(s string) (runtime.ContainerID, bool) {
	words := strings.Split(s, ".")
	if len(words) != 3 || words[0] == "" || words[1] == "" {
		return runtime.ContainerID{}, false
	}
	n, err := strconv.Atoi(words[2])
	return runtime.ContainerID{Pod: types.UID(words[0]), Name: words[1], Attempt: n}, err == nil
}
