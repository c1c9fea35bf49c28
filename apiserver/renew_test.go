package apiserver

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"optimist/internal/api"
	"optimist/internal/port"
)

// TestCertificatesRenewWhileItRuns lets certificates live three seconds: a client that stays and one that comes later are both served for two lives.
func TestCertificatesRenewWhileItRuns(t *testing.T) {
	dir := t.TempDir()
	l, err := port.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	s := Settings{Cluster: "test", Data: filepath.Join(dir, "store.db"), PKI: filepath.Join(dir, "pki"), Listen: []string{addr},
		ClusterCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/16", History: time.Hour, HistorySize: "1Mi", CertLife: 3 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	kubeconfig := filepath.Join(s.PKI, "admin.kubeconfig")
	shown := func() (serial string) {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"optimist-grpc"}})
		if err != nil {
			return ""
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	eventually(t, func() bool { return shown() != "" })
	c := connect(t, kubeconfig)
	seen := map[string]bool{}
	eventually(t, func() bool {
		seen[shown()] = true
		if _, err := c.Now(t.Context()); err != nil {
			t.Error(err)
		}
		return len(seen) > 3
	})
	if _, err := connect(t, kubeconfig).Now(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := api.Namespaces.List(t.Context(), c, "", api.ListOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(s.PKI, "encryption.yaml")); err != nil {
		t.Error(err)
	}
}
