package clients

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"

	"optimist/agent/network"
	agentnode "optimist/agent/node"
	"optimist/agent/runtime/sim"
	"optimist/apiserver/registry"
	"optimist/apiserver/store/memory"
	"optimist/ctl/inprocess"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
	"optimist/internal/pki"
)

// aCluster is a whole one in this process, with two simulated nodes, behind a port: itself, and what a client needs to reach it as an administrator.
func aCluster(t *testing.T) (api.Service, *restclient.Config) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen, dir := l.Addr().String(), t.TempDir()
	l.Close()
	if err := (pki.Bootstrap{Cluster: "test", Server: listen}).Run(dir); err != nil {
		t.Fatal(err)
	}
	conf, err := pki.ServerTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := inprocess.Config{Name: "test", Store: memory.New(), Listen: listen, TLS: conf, Log: slog.New(slog.DiscardHandler),
		Ranges: registry.Ranges{ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16"), NodeBits: 24}}
	for _, name := range []string{"n1", "n2"} {
		c.Nodes = append(c.Nodes, inprocess.Node{Name: name, Runtime: sim.New(), Network: &network.Loopback{}, Capacity: agentnode.Simulated()})
	}
	cluster, err := inprocess.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cluster.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	a, err := pki.LoadKubeconfig(filepath.Join(dir, "admin.kubeconfig"), "")
	if err != nil {
		t.Fatal(err)
	}
	return cluster.Service(), &restclient.Config{Host: "https://" + a.Server, TLSClientConfig: restclient.TLSClientConfig{CAData: a.CA, CertData: a.Cert, KeyData: a.Key}}
}

// await returns the first object of a kind with which all is well.
func await[T api.Object](t *testing.T, svc api.Service, target api.Target, well func(T) bool) T {
	t.Helper()
	events, err := svc.Watch(t.Context(), target, api.WatchOptions{Initial: true})
	if err != nil {
		t.Fatal(err)
	}
	for batch, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range batch {
			if o, ok := e.Object.(T); ok && well(o) {
				return o
			}
		}
	}
	panic("the watch has ended")
}

// Everything is the product's here, from the client's connection to the (simulated) container.
func TestCluster(t *testing.T) {
	svc, c := aCluster(t)
	await(t, svc, api.Target{Kind: api.NamespaceKind}, func(ns *corev1.Namespace) bool { return ns.Name == "default" })
	for _, text := range []string{
		`{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: default}, spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}},
			spec: {containers: [{name: c, image: web, args: ["sim:http=8080", "sim:print=hello"], ports: [{name: http, containerPort: 8080}]}]}}}}`,
		`{apiVersion: v1, kind: Service, metadata: {name: web, namespace: default}, spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}}`,
	} {
		o := apitest.Object(t, text)
		if _, err := svc.Write(t.Context(), api.Request{Target: api.Target{Kind: api.Builtin.Of(o), Key: api.KeyOf(o)}, Verb: api.VerbCreate, Body: o}); err != nil {
			t.Fatal(err)
		}
	}
	pod := await(t, svc, api.Target{Kind: api.PodKind, Key: api.Key{Namespace: "default"}}, api.PodReady)
	client, err := restclient.HTTPClientFor(c)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) string {
		a, err := client.Get(c.Host + "/api/v1/" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		text, _ := io.ReadAll(a.Body)
		return fmt.Sprint(a.StatusCode, " ", string(text))
	}
	answer := "200 c of pod " + pod.Name + ": GET /x?y\n"
	for path, want := range map[string]string{
		"namespaces/default/pods/" + pod.Name + "/log":               "200 hello\n",
		"namespaces/default/pods/" + pod.Name + "/proxy/x?y":         answer,
		"namespaces/default/pods/http:" + pod.Name + ":81/proxy/x?y": "503 ",
		"namespaces/default/services/none/proxy/":                    "404 ",
		"nodes/" + pod.Spec.NodeName + "/proxy/metrics":              "400 ",
	} {
		if got := get(path); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s; want %s", path, got, want)
		}
	}
	for got := ""; got != answer; { // the Service's endpoints come a moment after the pod
		if got = get("namespaces/default/services/web:http/proxy/x?y"); got != answer && !strings.Contains(got, `no endpoints available for service \"web\"`) {
			t.Fatal(got)
		}
	}
	for way, executor := range executors {
		var out bytes.Buffer
		e, err := executor(c, address(c, pod.Name+"/exec", "command=cat&stdin=true&stdout=true"))
		if err == nil {
			err = e.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: strings.NewReader("to and fro"), Stdout: &out})
		}
		if err != nil || out.String() != "to and fro" {
			t.Errorf("%s: %q, %v", way, out.String(), err)
		}
	}
	for way, forwarder := range forwarders {
		dialer, err := forwarder(c, address(c, pod.Name+"/portforward", ""))
		if err != nil {
			t.Fatal(err)
		}
		stop, ready, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		f, err := portforward.New(dialer, []string{":8080"}, stop, ready, io.Discard, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- f.ForwardPorts() }()
		select {
		case <-ready:
		case err := <-done:
			t.Fatalf("%s: %v", way, err)
		}
		ports, _ := f.GetPorts()
		a, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/x?y", ports[0].Local))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(a.Body)
		a.Body.Close()
		if got := "200 " + string(text); got != answer {
			t.Errorf("%s: %s", way, got)
		}
		close(stop)
		<-done
	}
}
