package why

import (
	"fmt"
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

var (
	mountFailed = regexp.MustCompile(`^MountVolume\.SetUp failed for volume "([^"]+)" : (.*)`)
	noSource    = regexp.MustCompile(`(configmap|secret) "([^"]+)" not found`)
	noSuchKey   = regexp.MustCompile(`references non-existent (config|secret) key: (\S+)`)
)

// unmounted is a pod none of whose containers has started, because a volume cannot be made.
func unmounted(f *Facts, p *corev1.Pod) *Cause {
	warnings := f.warnings(p)
	started := slices.ContainsFunc(slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses), func(s corev1.ContainerStatus) bool { return s.State.Waiting == nil })
	if !placed(p) || p.DeletionTimestamp != nil || started || len(warnings) == 0 || warnings[0].Reason != "FailedMount" {
		return nil
	}
	m := mountFailed.FindStringSubmatch(warnings[0].Message)
	if m == nil {
		return nil
	}
	c := &Cause{Text: fmt.Sprintf("%s waits for its volume %s: %s", name(p), m[1], m[2])}
	var fix []string
	if missing := noSource.FindStringSubmatch(m[2]); missing != nil {
		fix = []string{f.in(p.Namespace, fill(missing[1], missing[2], wanted(p, missing[1], missing[2]), true))}
	} else if key := noSuchKey.FindStringSubmatch(m[2]); key != nil {
		kind := map[string]string{"config": "configmap", "secret": "secret"}[key[1]]
		for _, s := range sources(p) {
			if s.volume == m[1] && s.kind == kind && slices.Contains(wanted(p, kind, s.object), key[2]) {
				fix = []string{f.in(p.Namespace, fill(kind, s.object, key[2:], false))}
			}
		}
	}
	c.Try, c.Or = firstOf(fix, f.undo(p))
	if len(c.Try) == 0 {
		c.Try = []string{f.in(p.Namespace, "describe "+name(p))}
	}
	return c
}

// part is a ConfigMap or Secret in a volume, and the keys that the volume wants of it (none: all that there are).
type part struct {
	volume, kind, object string
	items                []corev1.KeyToPath
}

func sources(p *corev1.Pod) (all []part) {
	for _, v := range p.Spec.Volumes {
		if v.ConfigMap != nil {
			all = append(all, part{v.Name, "configmap", v.ConfigMap.Name, v.ConfigMap.Items})
		} else if v.Secret != nil {
			all = append(all, part{v.Name, "secret", v.Secret.SecretName, v.Secret.Items})
		} else if v.Projected != nil {
			for _, s := range v.Projected.Sources {
				if s.ConfigMap != nil {
					all = append(all, part{v.Name, "configmap", s.ConfigMap.Name, s.ConfigMap.Items})
				} else if s.Secret != nil {
					all = append(all, part{v.Name, "secret", s.Secret.Name, s.Secret.Items})
				}
			}
		}
	}
	return all
}

// wanted are the keys that a pod's volumes name of an object.
func wanted(p *corev1.Pod, kind, object string) (keys []string) {
	for _, s := range sources(p) {
		for _, item := range s.items {
			if s.kind == kind && s.object == object {
				keys = append(keys, item.Key)
			}
		}
	}
	return keys
}
