package why

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"optimist/internal/api"
)

// trouble is a container that is not as it should be.
type trouble struct {
	pod    *corev1.Pod
	spec   corev1.Container
	status corev1.ContainerStatus
	init   bool
}

// settled is how long a container that was started again must run before that counts as well.
const settled = 30 * time.Second

// onContainer makes a rule about pods of one about their containers: in the order in which they start, as long as they are not well.
func onContainer(name, sees, heals string, find func(*Facts, trouble) *Cause) rule {
	return on(api.PodKind, name, sees, heals, func(f *Facts, p *corev1.Pod) *Cause {
		if p.DeletionTimestamp != nil || p.Spec.NodeName == "" {
			return nil
		}
		inits := len(p.Spec.InitContainers)
		for i, spec := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			t := trouble{pod: p, spec: spec, init: i < inits}
			for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
				if s.Name == spec.Name {
					t.status = s
				}
			}
			if t.well(f.Now) {
				continue
			}
			if c := find(f, t); c != nil {
				return c
			}
		}
		return nil
	})
}

func (t trouble) well(now time.Time) bool {
	if r := t.status.State.Running; r != nil {
		return t.status.RestartCount < 2 || now.Sub(r.StartedAt.Time) > settled
	}
	e := t.status.State.Terminated
	return e != nil && e.ExitCode == 0
}

// waits is why the container waits, and what is said about it.
func (t trouble) waits() (reason, message string) {
	if w := t.status.State.Waiting; w != nil {
		return w.Reason, w.Message
	}
	return "", ""
}

// ended is how the last run ended; nil if none has.
func (t trouble) ended() *corev1.ContainerStateTerminated {
	if t.status.State.Terminated != nil {
		return t.status.State.Terminated
	}
	return t.status.LastTerminationState.Terminated
}

func (t trouble) String() string {
	if t.init {
		return fmt.Sprintf("init container %s of %s", t.spec.Name, name(t.pod))
	}
	return fmt.Sprintf("container %s of %s", t.spec.Name, name(t.pod))
}

func (f *Facts) printed(t trouble) (evidence []string) {
	for _, line := range f.Logs[t.pod.Name+"/"+t.spec.Name] {
		evidence = append(evidence, "it printed: "+line)
	}
	return evidence
}

// pulls are the ways in which an image does not come: how each is recognised, by reason and words, and what is said of it.
var pulls = []struct{ name, sees, heals, reasons, says, text string }{
	{"image name", "`InvalidImageName`", "goes back to the revision before, or takes an image of almost that name", "InvalidImageName", "",
		"%[1]s wants the image %[2]q, which is no name of an image"},
	{"image never pulled", "`ErrImageNeverPull`", "the same", "ErrImageNeverPull", "", "%[1]s wants image %[2]s, which node %[3]s does not have and may not pull (imagePullPolicy: Never)"},
	{"image not found", "the registry does not have it", "the same", "ErrImagePull ImagePullBackOff", "image not found", "image %[2]s, which %[1]s wants, is not in its registry"},
	{"image cannot be pulled", "any other failure of a pull", "the same", "ErrImagePull ImagePullBackOff", "", "node %[3]s cannot pull image %[2]s for %[1]s"},
}

func pullRules() (all []rule) {
	for _, p := range pulls {
		all = append(all, onContainer(p.name, p.sees, p.heals, func(f *Facts, t trouble) *Cause {
			message, ok := t.says(p.reasons, p.says)
			if !ok {
				return nil
			}
			try, or := firstOf(f.undo(t.pod), f.otherImage(t))
			return &Cause{Text: fmt.Sprintf(p.text, t, t.spec.Image, t.pod.Spec.NodeName), Evidence: []string{message}, Try: try, Or: or}
		}))
	}
	return all
}

// says reports whether the container waits for one of the reasons, with these words.
func (t trouble) says(reasons, words string) (message string, ok bool) {
	reason, message := t.waits()
	return message, reason != "" && slices.Contains(strings.Fields(reasons), reason) && strings.Contains(message, words)
}

func imageNeedsLogin(f *Facts, t trouble) *Cause {
	message, ok := t.says("ErrImagePull ImagePullBackOff", "the registry refused the login")
	if !ok {
		return nil
	}
	c := &Cause{Text: fmt.Sprintf("the registry gives image %s to %s only with a login, and the pod brings none that it takes", t.spec.Image, t), Evidence: []string{message}}
	var use []string
	for _, s := range every(f, func(s *corev1.Secret) bool {
		return s.Namespace == t.pod.Namespace && s.Type == corev1.SecretTypeDockerConfigJson
	}) {
		host, _, _ := strings.Cut(t.spec.Image, "/")
		ref := corev1.LocalObjectReference{Name: s.Name}
		if strings.Contains(string(s.Data[corev1.DockerConfigJsonKey]), `"`+host) && !slices.Contains(t.pod.Spec.ImagePullSecrets, ref) {
			refs := append(slices.Clone(t.pod.Spec.ImagePullSecrets), ref)
			c.Evidence = append(c.Evidence, fmt.Sprintf("secret %s has a login for %s, but the pod does not name it in imagePullSecrets", s.Name, host))
			use = f.edit(t.pod, op{Op: "add", Path: "/imagePullSecrets", Value: refs})
		}
	}
	c.Try, c.Or = firstOf(use, f.undo(t.pod))
	return c
}

var (
	noObject = regexp.MustCompile(`^(configmap|secret) "([^"]+)" not found`)
	noKey    = regexp.MustCompile(`^couldn't find key (\S+) in (ConfigMap|Secret) [^/]+/(\S+)`)
)

// missing understands what the agent says about a ConfigMap or Secret: its kind, its name, and the keys that the container reads of it.
func (t trouble) missing(message string) (kind, object string, keys []string, whole bool) {
	if m := noKey.FindStringSubmatch(message); m != nil {
		return strings.ToLower(m[2]), m[3], []string{m[1]}, false
	}
	m := noObject.FindStringSubmatch(message)
	if m == nil {
		return "", "", nil, false
	}
	for _, e := range t.spec.Env {
		switch from := e.ValueFrom; {
		case from == nil:
		case from.ConfigMapKeyRef != nil && m[1] == "configmap" && from.ConfigMapKeyRef.Name == m[2]:
			keys = append(keys, from.ConfigMapKeyRef.Key)
		case from.SecretKeyRef != nil && m[1] == "secret" && from.SecretKeyRef.Name == m[2]:
			keys = append(keys, from.SecretKeyRef.Key)
		}
	}
	return m[1], m[2], keys, true
}

func missingConfig(f *Facts, t trouble) *Cause {
	reason, message := t.waits()
	kind, object, keys, whole := t.missing(message)
	if reason != "CreateContainerConfigError" || kind == "" {
		return nil
	}
	text := fmt.Sprintf("%s takes a variable from key %s of %s %s, which has no such key", t, strings.Join(keys, ", "), kind, object)
	if whole {
		text = fmt.Sprintf("%s takes variables from %s %s, which does not exist", t, kind, object)
	}
	try, or := firstOf([]string{f.in(t.pod.Namespace, fill(kind, object, keys, whole))}, f.undo(t.pod))
	return &Cause{Text: text, Try: try, Or: or}
}

// fill is the command that gives a ConfigMap or Secret the keys that it lacks, or makes it with them.
func fill(kind, object string, keys []string, whole bool) string {
	values := map[string]string{}
	for _, key := range keys {
		values[key] = "VALUE"
	}
	data := map[string]any{map[string]string{"configmap": "data", "secret": "stringData"}[kind]: values}
	if !whole {
		return fmt.Sprintf("patch %s/%s --type=merge -p %s", kind, object, quoted(data))
	}
	data["apiVersion"], data["kind"], data["metadata"] = "v1", api.Builtin.Find(kind).Name, map[string]string{"name": object}
	return fmt.Sprintf("echo %s | apply -f -", quoted(data))
}

func cannotRun(f *Facts, t trouble) *Cause {
	reason, message := t.waits()
	e := t.ended()
	if e != nil && (e.Reason == "StartError" || e.Reason == "ContainerCannotRun") {
		reason, message = "RunContainerError", e.Message
	}
	if reason != "RunContainerError" {
		return nil
	}
	c := &Cause{Evidence: []string{message}}
	var plain []string
	if len(t.spec.Command) > 0 {
		c.Text = fmt.Sprintf("%s cannot run %q: image %s has no such program", t, t.spec.Command[0], t.spec.Image)
		plain = f.edit(t.pod, op{Op: "remove", Path: t.path() + "/command"})
	} else {
		c.Text = fmt.Sprintf("%s cannot run what image %s says", t, t.spec.Image)
	}
	c.Try, c.Or = firstOf(f.undo(t.pod), plain)
	return c
}

// path is where the container stands in the pod's spec.
func (t trouble) path() string {
	list, where := t.pod.Spec.Containers, "containers"
	if t.init {
		list, where = t.pod.Spec.InitContainers, "initContainers"
	}
	i := slices.IndexFunc(list, func(c corev1.Container) bool { return c.Name == t.spec.Name })
	return fmt.Sprintf("/%s/%d", where, i)
}

func outOfMemory(f *Facts, t trouble) *Cause {
	e := t.ended()
	if e == nil || e.Reason != "OOMKilled" {
		return nil
	}
	limit, ok := t.spec.Resources.Limits[corev1.ResourceMemory]
	if !ok {
		return &Cause{Text: fmt.Sprintf("%s was killed because node %s ran out of memory", t, t.pod.Spec.NodeName), Try: f.undo(t.pod), Evidence: f.printed(t)}
	}
	twice := resource.NewQuantity(2*limit.Value(), resource.BinarySI)
	more := f.change(t.pod, "set resources", fmt.Sprintf("-c %s --limits=memory=%s", t.spec.Name, twice))
	try, or := firstOf(more, f.undo(t.pod))
	return &Cause{Text: fmt.Sprintf("%s was killed when it wanted more memory than its limit of %s (%s)", t, limit.String(), t.often()),
		Evidence: append([]string{fmt.Sprintf("OOMKilled, exit code %d", e.ExitCode)}, f.printed(t)...), Try: try, Or: or}
}

func (t trouble) often() string {
	if t.status.RestartCount == 1 {
		return "restarted once"
	}
	return fmt.Sprintf("restarted %d times", t.status.RestartCount)
}

// codes are what some exit codes say by convention.
var codes = map[int32]string{126: ": its command may not be executed", 127: ": its command was not found", 137: ": killed by SIGKILL",
	139: ": it touched memory that is not its own (SIGSEGV)", 143: ": ended by SIGTERM"}

func crashes(f *Facts, t trouble) *Cause {
	e := t.ended()
	if e == nil || e.ExitCode == 0 {
		return nil
	}
	text := fmt.Sprintf("%s ends with exit code %d%s (%s)", t, e.ExitCode, codes[e.ExitCode], t.often())
	if api.Ended(t.pod) {
		text = fmt.Sprintf("%s ended with exit code %d%s, and restartPolicy %s lets it stay so", t, e.ExitCode, codes[e.ExitCode], t.pod.Spec.RestartPolicy)
	}
	c := &Cause{Text: text, Evidence: f.printed(t)}
	look := []string{f.in(t.pod.Namespace, fmt.Sprintf("logs %s -c %s", name(t.pod), t.spec.Name))}
	if t.status.State.Running != nil {
		look[0] += " --previous"
	}
	c.Try, c.Or = firstOf(f.undo(t.pod), look)
	return c
}

func endsWell(f *Facts, t trouble) *Cause {
	reason, _ := t.waits()
	if e := t.ended(); e == nil || e.ExitCode != 0 || reason != "CrashLoopBackOff" || t.init {
		return nil
	}
	return &Cause{Text: fmt.Sprintf("%s ends by itself with exit code 0 and is started again and again (%s): a container of a restartPolicy %s is meant to run on",
		t, t.often(), t.pod.Spec.RestartPolicy), Evidence: f.printed(t), Try: f.undo(t.pod)}
}

// otherTrouble is what the runtime or the agent says of a container that none of the rules before knows.
func otherTrouble(f *Facts, t trouble) *Cause {
	reason, message := t.waits()
	if reason == "" || message == "" || reason == "CrashLoopBackOff" {
		return nil
	}
	return &Cause{Text: fmt.Sprintf("%s cannot be started: %s", t, reason), Evidence: []string{message}, Try: f.undo(t.pod)}
}
