package containerd

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"strings"
	"sync"

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
	Socket     string // containerd's socket, /run/containerd/containerd.sock
	Namespace  string // the containerd namespace of this node, "optimist-dev-n1"
	Root       string // the run folder: sandboxes and the pipes of exec
	LoggerPath string // the binary of cmd/logger, an absolute path
	CgroupRoot string // the parent of all pods' cgroups, "/optimist-dev-n1"
}

// Runtime implements runtime.Runtime and runtime.Images.
type Runtime struct {
	cfg              Config
	client           *client.Client
	pods, containers locks // by uid, by id; a pod's is taken before a container's
	cgroup           sync.RWMutex
}

// locks are a mutex per name. Two names may share one: then one of them waits a little longer.
type locks [256]sync.Mutex

func (l *locks) lock(name string) (unlock func()) {
	m := &l[crc32.ChecksumIEEE([]byte(name))%uint32(len(l))]
	m.Lock()
	return m.Unlock
}

var (
	_ runtime.Runtime = (*Runtime)(nil)
	_ runtime.Images  = (*Runtime)(nil)
)

// New connects lazily: containerd may come up later, and may go and come again.
func New(cfg Config) (*Runtime, error) {
	if !filepath.IsAbs(cfg.LoggerPath) || !filepath.IsAbs(cfg.Root) {
		return nil, fmt.Errorf("logger %q and run folder %q are used by containerd, too, and so need absolute paths", cfg.LoggerPath, cfg.Root)
	}
	c, err := client.New(cfg.Socket, client.WithDefaultNamespace(cfg.Namespace), client.WithDefaultRuntime(runc))
	if err != nil {
		return nil, fmt.Errorf("containerd at %s: %w", cfg.Socket, err)
	}
	return &Runtime{cfg: cfg, client: c}, nil
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
