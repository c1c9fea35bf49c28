package real

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"optimist/internal/pki"
)

// What goes through the agent's kept connection arrives in containers, and comes back whole.
func TestStreams(t *testing.T) {
	c := up(t)
	c.must(t, "apply", "-f", "testdata/streams.yaml")
	eventually(t, time.Minute, func() (bool, string) { return c.ready(t, "app=streams", 1) })
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	t.Run("exec", func(t *testing.T) {
		out, err := c.CtlContext(ctx, "to and fro", "exec", "-i", "streams", "-c", "shell", "--", "sh", "-c", "cat; exit 7")
		if err == nil || !strings.HasPrefix(out, "to and fro") || !strings.Contains(out, "command terminated with exit code 7") {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("cp", func(t *testing.T) {
		dir := t.TempDir()
		big := make([]byte, 5<<20)
		for i := range big {
			big[i] = byte(rand.Uint32())
		}
		if err := os.MkdirAll(filepath.Join(dir, "d/e"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "d/e/big"), big, 0o640); err != nil {
			t.Fatal(err)
		}
		c.must(t, "cp", filepath.Join(dir, "d"), "streams:/tmp", "-c", "shell")
		c.must(t, "cp", "default/streams:/tmp/d", filepath.Join(dir, "back"), "-c", "shell")
		if got, err := os.ReadFile(filepath.Join(dir, "back/e/big")); err != nil || !bytes.Equal(got, big) {
			t.Errorf("%d bytes of %d came back, %v", len(got), len(big), err)
		}
		if out, err := c.Ctl("cp", "streams:/etc/passwd", dir, "-c", "web"); err == nil || !strings.Contains(out, `"tar": executable file not found`) {
			t.Errorf("without tar: %s", out)
		}
	})
	t.Run("port-forward", func(t *testing.T) {
		forward := c.Command(ctx, filepath.Join(c.Bin, "ctl"), "port-forward", "service/streams", ":web", "--address", "127.0.0.1")
		echo := c.Command(ctx, filepath.Join(c.Bin, "ctl"), "port-forward", "streams", ":9000", ":9", "--address", "127.0.0.1")
		var addresses []string
		start := func(n int, cmd *exec.Cmd) {
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for range n {
				lines.Scan()
				from, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "Forwarding from "), " -> ")
				addresses = append(addresses, from)
			}
			go func() { _, _ = io.Copy(io.Discard, out) }()
		}
		start(1, forward)
		start(2, echo)
		talk := func(address, text string) string {
			conn, err := c.Dial(ctx, address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go func() {
				_, _ = io.WriteString(conn, text)
				_ = conn.(*net.TCPConn).CloseWrite()
			}()
			answer, _ := io.ReadAll(conn)
			return string(answer)
		}
		if got := talk(addresses[0], "GET / HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 200 OK") {
			t.Errorf("the web server said %q", got)
		}
		long := strings.Repeat("say it back ", 100_000)
		for range 3 {
			if got := talk(addresses[1], long); got != long {
				t.Errorf("%d bytes of %d came back", len(got), len(long))
			}
		}
		if got := talk(addresses[2], "hello"); got != "" {
			t.Errorf("nobody said %q", got)
		}
		for _, cmd := range []*exec.Cmd{forward, echo} {
			_ = cmd.Process.Signal(syscall.SIGINT)
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("proxy", func(t *testing.T) {
		a, err := pki.LoadKubeconfig(c.Kubeconfig, "")
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(a.Cert, a.Key)
		if err != nil {
			t.Fatal(err)
		}
		conf := &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: x509.NewCertPool(), ServerName: a.ServerName}
		conf.RootCAs.AppendCertsFromPEM(a.CA)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return c.Dial(ctx, addr) }}}
		defer client.CloseIdleConnections()
		for path, want := range map[string]int{"pods/streams:8080/proxy/": 200, "services/streams:web/proxy/": 200, "pods/streams:9/proxy/": 503} {
			answer, err := client.Get("https://" + a.Server + "/api/v1/namespaces/default/" + path)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("%s: %d %s", path, answer.StatusCode, text)
			}
		}
	})
}
