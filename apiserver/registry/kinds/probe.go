package kinds

import (
	"fmt"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateProbes(c *corev1.Container, p *field.Path) (faults field.ErrorList) {
	for _, one := range []struct {
		name  string
		probe *corev1.Probe
	}{{"livenessProbe", c.LivenessProbe}, {"readinessProbe", c.ReadinessProbe}, {"startupProbe", c.StartupProbe}} {
		if one.probe == nil {
			continue
		}
		at := p.Child(one.name)
		faults = append(faults, validateProbe(one.probe, at)...)
		// Only readiness can be won back; being alive, or having started, is decided by one success.
		if one.name != "readinessProbe" && one.probe.SuccessThreshold != 1 {
			faults = append(faults, field.Invalid(at.Child("successThreshold"), one.probe.SuccessThreshold, "must be 1"))
		}
		if one.name == "readinessProbe" && one.probe.TerminationGracePeriodSeconds != nil {
			faults = append(faults, field.Invalid(at.Child("terminationGracePeriodSeconds"), *one.probe.TerminationGracePeriodSeconds, "must not be set for readinessProbes"))
		}
	}
	return faults
}

func validateProbe(pr *corev1.Probe, p *field.Path) (faults field.ErrorList) {
	faults = validateHandler(p, pr.Exec, pr.HTTPGet, pr.TCPSocket, pr.GRPC, nil)
	for _, n := range []struct {
		name string
		n    int32
	}{
		{"initialDelaySeconds", pr.InitialDelaySeconds}, {"timeoutSeconds", pr.TimeoutSeconds}, {"periodSeconds", pr.PeriodSeconds},
		{"successThreshold", pr.SuccessThreshold}, {"failureThreshold", pr.FailureThreshold},
	} {
		faults = append(faults, nonNegative(p.Child(n.name), n.n)...)
	}
	if g := pr.TerminationGracePeriodSeconds; g != nil && *g <= 0 {
		faults = append(faults, field.Invalid(p.Child("terminationGracePeriodSeconds"), *g, "must be greater than 0"))
	}
	return faults
}

func validateLifecycle(l *corev1.Lifecycle, grace int64, p *field.Path) (faults field.ErrorList) {
	if l == nil {
		return nil
	}
	for _, hook := range []struct {
		name    string
		handler *corev1.LifecycleHandler
	}{{"postStart", l.PostStart}, {"preStop", l.PreStop}} {
		if h := hook.handler; h != nil {
			faults = append(faults, validateHandler(p.Child(hook.name), h.Exec, h.HTTPGet, h.TCPSocket, nil, h.Sleep)...)
			if h.Sleep != nil && (h.Sleep.Seconds < 0 || h.Sleep.Seconds > grace) {
				faults = append(faults, field.Invalid(p.Child(hook.name, "sleep"), h.Sleep.Seconds,
					fmt.Sprintf("must be non-negative and at most terminationGracePeriodSeconds (%d)", grace)))
			}
		}
	}
	return faults
}

// validateHandler: exactly one way to ask or act.
func validateHandler(p *field.Path, exec *corev1.ExecAction, http *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction,
	grpc *corev1.GRPCAction, sleep *corev1.SleepAction) (faults field.ErrorList) {
	set := choices(reflect.ValueOf(struct {
		Exec      *corev1.ExecAction      `json:"exec"`
		HTTPGet   *corev1.HTTPGetAction   `json:"httpGet"`
		TCPSocket *corev1.TCPSocketAction `json:"tcpSocket"`
		GRPC      *corev1.GRPCAction      `json:"grpc"`
		Sleep     *corev1.SleepAction     `json:"sleep"`
	}{exec, http, tcp, grpc, sleep}))
	if len(set) == 0 {
		return field.ErrorList{field.Required(p, "must specify a handler type")}
	}
	for _, more := range set[1:] {
		faults = append(faults, field.Forbidden(p.Child(more), "may not specify more than 1 handler type"))
	}
	p = p.Child(set[0]) // the first is checked closer; with more than one the author must choose anyway
	switch {
	case exec != nil:
		if len(exec.Command) == 0 {
			faults = append(faults, field.Required(p.Child("command"), ""))
		}
	case http != nil:
		faults = append(faults, validateHTTPGet(http, p)...)
	case tcp != nil:
		faults = append(faults, portRef(tcp.Port, p.Child("port"))...)
	case grpc != nil:
		faults = append(faults, port(p.Child("port"), int(grpc.Port))...)
	}
	return faults
}

func validateHTTPGet(h *corev1.HTTPGetAction, p *field.Path) field.ErrorList {
	faults := append(required(p.Child("path"), h.Path), portRef(h.Port, p.Child("port"))...)
	faults = append(faults, oneOf(p.Child("scheme"), h.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)...)
	for _, header := range h.HTTPHeaders {
		faults = append(faults, invalid(p.Child("httpHeaders"), header.Name, validation.IsHTTPHeaderName(header.Name))...)
	}
	return faults
}

// portRef is a port by number, or by the name that a container gave it.
func portRef(ref intstr.IntOrString, p *field.Path) field.ErrorList {
	switch ref.Type {
	case intstr.Int:
		return port(p, int(ref.IntVal))
	case intstr.String:
		return invalid(p, ref.StrVal, validation.IsValidPortName(ref.StrVal))
	}
	return field.ErrorList{field.InternalError(p, fmt.Errorf("unknown type: %v", ref.Type))}
}

// validateInside: a path below some folder may not climb out of it.
func validateInside(p *field.Path, path string) (faults field.ErrorList) {
	if strings.HasPrefix(path, "/") {
		faults = append(faults, field.Invalid(p, path, "must be a relative path"))
	}
	return append(faults, noBackSteps(p, path)...)
}

func noBackSteps(p *field.Path, path string) field.ErrorList {
	for _, step := range strings.Split(path, "/") {
		if step == ".." {
			return field.ErrorList{field.Invalid(p, path, "must not contain '..'")}
		}
	}
	return nil
}
