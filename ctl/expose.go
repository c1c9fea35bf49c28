package ctl

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"optimist/internal/api"
)

func exposeCommand(s *session) *cobra.Command {
	w, sel := &writing{session: s}, &selection{session: s}
	c := &cobra.Command{Use: "expose TYPE/NAME [--port=PORT] [--target-port=PORT]", Short: "Make a Service for the pods of an object", ValidArgsFunction: s.completeObjects,
		Example: "  ctl expose deployment web --port=80 --target-port=8080\n  ctl expose pod web --name=front --type=NodePort"}
	w.fileFlags(c)
	w.makingFlags(c, manager+"-expose")
	c.PreRunE = nil // the object is asked for in any case
	s.addFlags(c, []flag{
		{"name", "", "The Service's name (default: that of the object)"}, {"port", "", "Its port (default: those of the object)"}, {"target-port", "", "The port of the containers, by number or name"},
		{"protocol", "", "TCP, UDP or SCTP"}, {"type", "", "ClusterIP, NodePort, LoadBalancer or ExternalName"}, {"selector", "", "Which pods (default: those of the object)"},
		{"labels l", "", "The Service's labels (default: those of the object)"}, {"cluster-ip", "", "Its address; None for none"}, {"external-ip", "", "A further address of it"},
		{"load-balancer-ip", "", "The load balancer's address"}, {"session-affinity", "", "None or ClientIP"}})
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := errors.Join(checkDry(w.dry), w.output.Parse(false)); err != nil {
			return err
		}
		targets, wrong := sel.choose(c, args, &w.documents)
		return each(targets, wrong, func(t api.Target) error {
			r, err := w.Get(c.Context(), t, api.GetOptions{})
			if err != nil {
				return err
			}
			g := &given{writing: w, Command: c}
			o, err := exposed(g, t.Kind, r.Object)
			if err != nil {
				return err
			}
			o.SetName(cmp.Or(g.text("name"), t.Key.Name))
			return w.make(c, o, "exposed")
		})
	}
	return c
}

func exposed(g *given, k *api.Kind, o api.Object) (api.Object, error) {
	selector, ports, err := reachable(k, o)
	if err != nil {
		return nil, err
	}
	out := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Labels: o.GetLabels()}, Spec: corev1.ServiceSpec{Selector: selector, Type: corev1.ServiceType(g.text("type")), ClusterIP: g.text("cluster-ip"),
		LoadBalancerIP: g.text("load-balancer-ip"), SessionAffinity: corev1.ServiceAffinity(g.text("session-affinity"))}}
	for flag, into := range map[string]*map[string]string{"selector": &out.Spec.Selector, "labels": &out.Labels} {
		if text := g.text(flag); text != "" {
			if *into, err = assignments(flag, strings.Split(text, ",")...); err != nil {
				return nil, err
			}
		}
	}
	if ip := g.text("external-ip"); ip != "" {
		out.Spec.ExternalIPs = []string{ip}
	}
	if text := g.text("port"); text != "" {
		if ports, err = numbered(text, ports); err != nil {
			return nil, err
		}
	}
	switch {
	case len(out.Spec.Selector) == 0:
		return nil, errors.New("selector must be specified")
	case len(ports) == 0 && out.Spec.ClusterIP != "None":
		return nil, errors.New("couldn't find port via --port flag or introspection")
	}
	for i := range ports {
		p := &ports[i]
		if p.Name = ""; len(ports) > 1 {
			p.Name = fmt.Sprintf("port-%d", i+1)
		}
		p.Protocol = cmp.Or(corev1.Protocol(g.text("protocol")), p.Protocol, corev1.ProtocolTCP)
		p.TargetPort = intstr.Parse(cmp.Or(g.text("target-port"), strconv.Itoa(int(p.Port))))
	}
	out.Spec.Ports = ports
	return out, nil
}

// numbered are the ports of --port=80,443, with the protocols that the object has for them.
func numbered(text string, known []corev1.ServicePort) (all []corev1.ServicePort, err error) {
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("--port=%s: %q is not a number", text, part)
		}
		p := corev1.ServicePort{Port: int32(n)}
		if i := slices.IndexFunc(known, func(k corev1.ServicePort) bool { return k.Port == p.Port }); i >= 0 {
			p.Protocol = known[i].Protocol
		}
		all = append(all, p)
	}
	return all, nil
}

var exposable = []string{"Deployment", "Pod", "ReplicaSet", "ReplicationController", "Service"}

// reachable says how a Service finds an object's pods, and at which ports they listen.
func reachable(k *api.Kind, o api.Object) (selector map[string]string, ports []corev1.ServicePort, err error) {
	if !slices.Contains(exposable, k.Name) {
		return nil, nil, fmt.Errorf("cannot expose a %s", k.Name)
	}
	if service, ok := o.(*corev1.Service); ok {
		return service.Spec.Selector, slices.Clone(service.Spec.Ports), nil
	}
	for _, c := range podSpec(o).Containers {
		for _, p := range c.Ports {
			ports = append(ports, corev1.ServicePort{Port: p.ContainerPort, Protocol: p.Protocol})
		}
	}
	if k.Name == "Pod" {
		if len(o.GetLabels()) == 0 {
			return nil, nil, errors.New("couldn't retrieve selectors via --selector flag or introspection: the pod has no labels and cannot be exposed")
		}
		return o.GetLabels(), ports, nil
	}
	s := cmp.Or(selectorOf(o), &metav1.LabelSelector{})
	if len(s.MatchExpressions) > 0 {
		err = fmt.Errorf("couldn't retrieve selectors via --selector flag or introspection: couldn't convert expressions - \"%+v\" to map-based selector format", s.MatchExpressions)
	}
	return s.MatchLabels, ports, err
}
