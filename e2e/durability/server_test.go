package durability

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"optimist/internal/client"
)

const top = "../.."

// built is the program of cmd/apiserver.
var built = sync.OnceValues(func() (string, error) { return build("apiserver", nil) })

// unsynced is the same with a store that does not sync. Only this build has the wish: the product has no such flag.
var unsynced = sync.OnceValues(func() (string, error) {
	return build("apiserver-unsynced", map[string][2]string{"apiserver/process.go": {"bolt.Options{}", "bolt.Options{NoSync: true}"}})
})

// programs is the folder of what is built; TestMain removes it.
var programs string

func TestMain(m *testing.M) {
	code := 1
	var err error
	if programs, err = os.MkdirTemp("", "durability-"); err == nil {
		code = m.Run()
		os.RemoveAll(programs)
	}
	os.Exit(code)
}

// build builds the API server with some words of its sources replaced.
func build(name string, patches map[string][2]string) (string, error) {
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, words := range patches {
		path, err := filepath.Abs(filepath.Join(top, file))
		if err != nil {
			return "", err
		}
		source, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(source, []byte(words[0])) {
			return "", fmt.Errorf("%s does not contain %q: %w", file, words[0], err)
		}
		patched := filepath.Join(programs, name+"-"+filepath.Base(file))
		if err := os.WriteFile(patched, bytes.Replace(source, []byte(words[0]), []byte(words[1]), 1), 0o600); err != nil {
			return "", err
		}
		overlay.Replace[path] = patched
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	file, program := filepath.Join(programs, name+".json"), filepath.Join(programs, name)
	if err := os.WriteFile(file, list, 0o600); err != nil {
		return "", err
	}
	if out, err := exec.Command("go", "build", "-overlay", file, "-o", program, top+"/cmd/apiserver").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return program, nil
}

// server is an API server that is started again and again, always at the same address and with the same files.
type server struct {
	program string
	data    string // the database file
	pki     string
	address string
	flags   []string
	as      uint32 // the user that it runs as

	cmd    *exec.Cmd
	said   *bytes.Buffer
	exited chan struct{}
}

func newServer(t *testing.T, program func() (string, error), data string) *server {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &server{program: path, data: data, pki: filepath.Join(t.TempDir(), "pki"), address: l.Addr().String(), flags: []string{"--history", "1s"}}
	t.Cleanup(s.kill)
	return s
}

// launch starts the process and does not wait for anything.
func (s *server) launch() error {
	s.said, s.exited = &bytes.Buffer{}, make(chan struct{})
	s.cmd = exec.Command(s.program, append([]string{"--listen", s.address, "--data", s.data, "--pki", s.pki}, s.flags...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.said, s.said
	if s.as != 0 {
		s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: s.as, Gid: s.as}}
	}
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return err
	}
	go func(cmd *exec.Cmd, exited chan struct{}) {
		cmd.Wait()
		close(exited)
	}(s.cmd, s.exited)
	return nil
}

// start returns when the server listens. It answers a little later.
func (s *server) start() error {
	if err := s.launch(); err != nil {
		return err
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if c, err := net.Dial("tcp", s.address); err == nil {
			return c.Close()
		}
		if s.gone() {
			return s.last()
		}
	}
	return errors.New("it does not listen after half a minute")
}

func (s *server) gone() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// last are the last words of a server that has ended by itself, or is about to.
func (s *server) last() error {
	select {
	case <-s.exited:
		return errors.New(strings.TrimSpace(s.said.String()))
	case <-time.After(time.Second):
		return nil
	}
}

// shoot is kill -9. A process that waits for a disk is gone only when the disk has answered.
func (s *server) shoot() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
	}
}

// kill is shoot; it returns when the process is gone.
func (s *server) kill() {
	s.shoot()
	if s.cmd != nil {
		<-s.exited
	}
}

// dial makes a client with everybody's rights.
func (s *server) dial() (*client.Client, error) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // the first start makes the credentials
		conf, err := client.Load(filepath.Join(s.pki, "admin.kubeconfig"), "")
		if err == nil {
			return client.New(conf)
		}
		if s.gone() {
			return nil, s.last()
		}
		if time.Now().After(end) {
			return nil, err
		}
	}
}
