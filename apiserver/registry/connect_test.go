package registry_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"optimist/apiserver/registry"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

// switchboard reaches node n1 and the scheduler.
type switchboard struct{}

func (switchboard) Dial(_ context.Context, component string) (api.Connector, error) {
	if component != "system:node:n1" && component != "system:scheduler" {
		return nil, errors.New("no such connection")
	}
	return line(component), nil
}

type line string

type reached struct {
	api.Stream
	what string
}

func (l line) Connect(_ context.Context, t api.Target, params url.Values) (api.Stream, error) {
	if t.Sub == "proxy" {
		return reached{what: string(l) + " " + t.Key.Name + " " + params.Encode()}, nil
	}
	return reached{what: string(l) + " " + t.Sub + " " + params.Encode()}, nil
}

func TestConnect(t *testing.T) {
	r := open(t, registry.Options{Dialer: switchboard{}})
	for _, text := range []string{
		`{apiVersion: v1, kind: Node, metadata: {name: n1}}`,
		`{apiVersion: v1, kind: Node, metadata: {name: n2}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: one, namespace: default}, spec: {nodeName: n1, containers: [{name: c, image: i}]}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: two, namespace: default}, spec: {nodeName: n1, initContainers: [{name: first, image: i}], containers: [{name: c, image: i}, {name: d, image: i}]}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: said, namespace: default, annotations: {kubectl.kubernetes.io/default-container: d}}, spec: {nodeName: n1, containers: [{name: c, image: i}, {name: d, image: i}]}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: waiting, namespace: default}, spec: {containers: [{name: c, image: i}]}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: told, namespace: default}, spec: {nodeName: n1, containers: [{name: c, image: i, ports: [{containerPort: 8080}]}]}}`,
		`{apiVersion: v1, kind: Service, metadata: {name: web, namespace: default}, spec: {ports: [{name: http, port: 80}, {name: https, port: 443}]}}`,
		`{apiVersion: v1, kind: Service, metadata: {name: idle, namespace: default}, spec: {ports: [{port: 80}]}}`,
		`{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}}, addressType: IPv4,
			ports: [{name: http, port: 8080}, {name: https, port: 8443}], endpoints: [{addresses: [10.1.1.1], nodeName: n2, conditions: {ready: false}, targetRef: {kind: Pod, name: far}},
			{addresses: [10.1.1.2], nodeName: n1, targetRef: {kind: Pod, name: told}}]}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: far, namespace: default}, spec: {nodeName: n2, containers: [{name: c, image: i}]}}`,
	} {
		o := apitest.Object(t, text)
		target := api.Target{Kind: api.Builtin.Of(o), Key: api.KeyOf(o)}
		if _, err := r.Write(t.Context(), api.Request{Target: target, Verb: api.VerbCreate, Body: o}); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		kind              *api.Kind
		name, sub, params string
		want, fails       string
	}{
		{api.PodKind, "one", "log", "follow=true", "system:node:n1 log container=c&follow=true", ""},
		{api.PodKind, "one", "exec", "command=ls&command=-l", "system:node:n1 exec command=ls&command=-l&container=c", ""},
		{api.PodKind, "two", "log", "container=first", "system:node:n1 log container=first", ""},
		{api.PodKind, "said", "attach", "", "system:node:n1 attach container=d", ""},
		{api.NodeKind, "n1", "images", "import=1", "system:node:n1 images import=1", ""},
		{api.ComponentStatusKind, "scheduler", "decisions", "", "system:scheduler decisions ", ""},
		{api.PodKind, "two", "portforward", "port=80", "system:node:n1 portforward port=80", ""},
		{api.PodKind, "one", "proxy", "", "system:node:n1 one port=80", ""},
		{api.PodKind, "https:one:", "proxy", "", "system:node:n1 one port=443", ""},
		{api.PodKind, "told", "proxy", "", "system:node:n1 told port=8080", ""},
		{api.PodKind, "http:told:81", "proxy", "", "system:node:n1 told port=81", ""},
		{api.ServiceKind, "web:http", "proxy", "", "system:node:n1 told port=8080", ""},
		{api.ServiceKind, "https:web:443", "proxy", "", "system:node:n1 told port=8443", ""},
		{api.NodeKind, "n1:9100", "proxy", "", "system:node:n1 n1 port=9100", ""},
		{api.ServiceKind, "web", "proxy", "", "", `no service port "" found for service "web"`},
		{api.ServiceKind, "web:81", "proxy", "", "", `no service port "81" found for service "web"`},
		{api.ServiceKind, "idle", "proxy", "", "", `no endpoints available for service "idle"`},
		{api.PodKind, "ftp:one:21", "proxy", "", "", `invalid pod request "ftp:one:21"`},
		{api.PodKind, "none:80", "proxy", "", "", `pods "none" not found`},
		{api.PodKind, "one", "portforward", "prot=1", "", `unknown parameter "prot"; portforward takes port, ports`},
		{api.PodKind, "two", "log", "", "", "a container name must be specified for pod two, choose one of: [c d] or one of the init containers: [first]"},
		{api.PodKind, "one", "log", "container=x", "", "container x is not valid for pod one, choose one of: [c]"},
		{api.PodKind, "one", "log", "folow=true", "", `unknown parameter "folow"; log takes container, follow`},
		{api.PodKind, "one", "exec", "", "", "at least one command"},
		{api.PodKind, "waiting", "log", "", "", "pod waiting does not have a host assigned"},
		{api.PodKind, "far", "log", "", "", "system:node:n2 is not connected"},
		{api.PodKind, "none", "log", "", "", `pods "none" not found`},
		{api.NodeKind, "n3", "log", "", "", `nodes "n3" not found`},
		{api.NodeKind, "n2", "log", "", "", "system:node:n2 is not connected"},
		{api.ComponentStatusKind, "nobody", "log", "", "", `"nobody" not found`},
		{api.PodKind, "one", "status", "", "", "connect to status"},
	} {
		t.Run(row.name+" "+row.sub+" "+row.params, func(t *testing.T) {
			params, _ := url.ParseQuery(row.params)
			target := api.Target{Kind: row.kind, Key: api.Key{Name: row.name}, Sub: row.sub}
			if row.kind.Namespaced {
				target.Key.Namespace = "default"
			}
			s, err := r.Connect(t.Context(), target, params)
			if row.fails != "" {
				if err == nil || !strings.Contains(err.Error(), row.fails) {
					t.Errorf("got %v; want an error that says %q", err, row.fails)
				}
				return
			}
			if err != nil || s.(reached).what != row.want {
				t.Errorf("reached %v, %v; want %s", s, err, row.want)
			}
		})
	}
	if _, err := r.Get(t.Context(), api.Target{Kind: api.ComponentStatusKind, Key: api.Key{Name: "scheduler"}}, api.GetOptions{}); err == nil {
		t.Error("a component's status was read from the store")
	}
}
