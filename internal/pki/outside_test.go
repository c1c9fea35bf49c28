package pki

import (
	"testing"
	"time"
)

// FuzzKubeconfig: a kubeconfig from somewhere is refused, or written again it says the same. No file that it names is read.
func FuzzKubeconfig(f *testing.F) {
	f.Add([]byte("current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u, namespace: n}}]\nclusters: [{name: c, cluster: {server: 'https://h:1', certificate-authority-data: YQ==}}]\nusers: [{name: u, user: {token: t}}]\n"))
	f.Add([]byte("current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {certificate-authority: /etc/passwd}}]\nusers: [{name: u}]\n"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ParseKubeconfig(data, "")
		if err != nil {
			return
		}
		_ = a.Check(time.Now()) // says what is wrong with it
		again, err := a.Kubeconfig()
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseKubeconfig(again, "")
		if err != nil || b.Server != a.Server || b.Token != a.Token || string(b.CA) != string(a.CA) {
			t.Errorf("%+v became %+v, %v", a, b, err)
		}
	})
}
