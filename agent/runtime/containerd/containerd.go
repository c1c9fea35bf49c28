package containerd

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/log"
	"github.com/sirupsen/logrus"

	"optimist/agent/runtime"
)

// runc is the only OCI runtime that every containerd brings.
const runc = "io.containerd.runc.v2"

// Config says where everything is. Two nodes on one machine must differ in Namespace, Root and CgroupRoot.
type Config struct {
	Socket      string // containerd's socket, /run/containerd/containerd.sock
	Namespace   string // the containerd namespace of this node, "optimist-dev-n1"
	Root        string // the run folder: sandboxes and the pipes of exec
	LoggerPath  string // the binary of cmd/logger, an absolute path
	CgroupRoot  string // the parent of all pods' cgroups, "/optimist-dev-n1"
	Snapshotter string // "" = containerd's default
	HostsDir    string // per-registry settings (hosts.toml), "" = none; containerd's own is /etc/containerd/certs.d
	ResolvConf  string // copied to pods, "" = /etc/resolv.conf
	Seccomp     bool   // containerd's default profile for all but privileged containers. Kubernetes' default is off, too; runc takes 20 ms to compile it
}

// Runtime implements runtime.Runtime, runtime.Execer and runtime.Images.
type Runtime struct {
	cfg     Config
	client  *client.Client
	cgroups *cgroups
	locks   locks // one per container id, and one per pod for its sandbox
}

var (
	_ runtime.Runtime = (*Runtime)(nil)
	_ runtime.Execer  = (*Runtime)(nil)
	_ runtime.Images  = (*Runtime)(nil)
)

// New connects lazily: containerd may come up later, and may go and come again.
func New(cfg Config) (*Runtime, error) {
	if !filepath.IsAbs(cfg.LoggerPath) {
		return nil, fmt.Errorf("logger %q: containerd starts it, so it needs an absolute path", cfg.LoggerPath)
	}
	if !filepath.IsAbs(cfg.Root) {
		return nil, fmt.Errorf("run folder %q: containers mount from it, so it needs an absolute path", cfg.Root)
	}
	if cfg.ResolvConf == "" {
		cfg.ResolvConf = "/etc/resolv.conf"
	}
	c, err := client.New(cfg.Socket, client.WithDefaultNamespace(cfg.Namespace), client.WithDefaultRuntime(runc))
	if err != nil {
		return nil, fmt.Errorf("containerd at %s: %w", cfg.Socket, err)
	}
	return &Runtime{cfg: cfg, client: c, cgroups: newCgroups(cfg.CgroupRoot)}, nil
}

// Close ends the connection; containers run on.
func (r *Runtime) Close() error { return r.client.Close() }

// Version asks containerd; it fails while containerd is away.
func (r *Runtime) Version(ctx context.Context) (string, error) {
	v, err := r.client.Version(r.in(ctx))
	if err != nil {
		return "", fmt.Errorf("containerd at %s does not answer, is it running? %w", r.cfg.Socket, err)
	}
	return "containerd://" + strings.TrimPrefix(v.Version, "v"), nil
}

// in puts a call into our containerd namespace, and keeps containerd's library from logging: what it has to say comes as errors.
func (r *Runtime) in(ctx context.Context) context.Context {
	return log.WithLogger(namespaces.WithNamespace(ctx, r.cfg.Namespace), silent)
}

var silent = &log.Entry{Logger: &logrus.Logger{Out: io.Discard, Formatter: &logrus.TextFormatter{}, Hooks: logrus.LevelHooks{}, Level: logrus.PanicLevel}}
