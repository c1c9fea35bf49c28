package containerd

import (
	"strconv"
	"strings"
	"time"

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

func labelsOf(spec runtime.ContainerSpec, imageID string) map[string]string {
	labels := map[string]string{
		labelPod:     string(spec.ID.Pod),
		labelImage:   spec.Image,
		labelImageID: imageID,
		labelLogPath: spec.LogPath,
	}
	for key, value := range spec.Labels {
		labels[labelOpaque+key] = value
	}
	return labels
}

// fromLabels is the inverse of labelsOf and record; a container without an exit code is returned as Created.
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

// parseID undoes ContainerID.String; names of containers have no dots.
func parseID(s string) (runtime.ContainerID, bool) {
	s, attempt, ok := cutLast(s)
	n, err := strconv.Atoi(attempt)
	pod, name, ok2 := cutLast(s)
	if !ok || !ok2 || err != nil || pod == "" || name == "" {
		return runtime.ContainerID{}, false
	}
	return runtime.ContainerID{Pod: types.UID(pod), Name: name, Attempt: n}, true
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
