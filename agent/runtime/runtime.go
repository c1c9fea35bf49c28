// Package runtime is what the agent needs of a container runtime: sandboxes (the namespaces that a pod's containers share) and
// containers in them. Package containerd runs them for real, package sim pretends; runtimetest holds both to the same behaviour.
//
//	Sandbox (one a pod: network, IPC and UTS namespace)
//	  ├─ Container "init-db#0"   exited 0
//	  ├─ Container "web#0"       exited 137, OOMKilled
//	  └─ Container "web#1"       running
//
// Every method is idempotent, because the agent may be killed between any two calls and starts over from State: starting what
// runs, stopping what is stopped and removing what is gone all succeed. Names, not random ids, identify things: a container is
// (pod uid, name, attempt).
//
// Real Kubernetes speaks the Container Runtime Interface (gRPC, about 30 calls) to containerd's CRI plugin; Optimist speaks to
// containerd's own API and so needs no plugin and no pause process.
package runtime

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/netip"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// ContainerID names one attempt at one container of one pod.
type ContainerID struct {
	Pod     types.UID
	Name    string
	Attempt int // the restart count with which it was started: 0, 1, …
}

// String is unique on a node and valid as a containerd id and a file name: "<pod uid>.<name>.<attempt>".
func (c ContainerID) String() string {
	return string(c.Pod) + "." + c.Name + "." + strconv.Itoa(c.Attempt)
}

// SandboxSpec asks for the namespaces of a pod.
type SandboxSpec struct {
	Pod             types.UID
	Namespace, Name string // the pod's, kept as labels
	Hostname        string
	ResolvConf      string // the text of /etc/resolv.conf
	Hosts           string // the text of /etc/hosts, until SetAddress brings another
	HostNetwork     bool
	Labels          map[string]string // opaque to the runtime, given back by State
}

// Limits are cgroup settings. Zero means not set.
type Limits struct {
	CPUShares   uint64 // weight, 1024 per core requested
	CPUQuota    int64  // µs of CPU per 100 ms period
	MemoryBytes int64
}

// Sandbox is a pod's shared ground as it is.
type Sandbox struct {
	SandboxSpec
	NetNS      string     // path of the pinned network namespace; "" for a host-network pod and in package sim
	Address    netip.Addr // set by whoever wired the network, through SetAddress; kept across restarts of the agent
	Created    time.Time
	Containers []Container // all attempts that were not removed, oldest first
}

// ContainerSpec asks for one container.
type ContainerSpec struct {
	ID           ContainerID
	Image        string   // the reference as the pod spells it
	ImageID      string   // the digest that Pull or Image returned
	Command      []string // replaces the image's entrypoint when set
	Args         []string // replaces the image's cmd when set
	WorkingDir   string
	Env          []string // NAME=value, already expanded; added to the image's
	Mounts       []Mount
	Limits       Limits
	TTY, Stdin   bool
	ReadOnlyRoot bool
	Privileged   bool
	User         string  // "uid[:gid]", "" = the image's
	Groups       []int64 // further ones of the first process
	Labels       map[string]string
	LogPath      string // the file that receives stdout and stderr in CRI format
}

// Mount is a bind mount.
type Mount struct {
	Host, Container string
	ReadOnly        bool
}

// Phase is where a container stands.
type Phase string

const (
	Created Phase = "Created" // made, never started
	Running Phase = "Running"
	Exited  Phase = "Exited"
)

// Container is one attempt as it is.
type Container struct {
	ID             ContainerID
	Image, ImageID string
	Labels         map[string]string
	LogPath        string
	Phase          Phase
	PID            int // of the first process while running; 0 in package sim
	Started        time.Time
	Finished       time.Time
	ExitCode       int
	Signal         int    // the signal that ended it, if known
	Reason         string // "OOMKilled", "Completed", "Error", "ContainerCannotRun" …; see Kubernetes' ContainerStateTerminated
	Message        string // why it could not be started, in the runtime's words
}

// Image is what a node has.
type Image struct {
	Ref  string   `json:"name"`           // the canonical one, docker.io/library/nginx:1.27
	ID   string   `json:"id"`             // sha256:… of the config or manifest, stable per content
	Size int64    `json:"size"`           // bytes
	Tags []string `json:"tags,omitempty"` // every name of this image
}

// Credentials answer a registry that asks for a login. Empty: anonymous.
type Credentials struct{ Username, Password string }

// Runtime runs pods on one node. The zero values of errors: nil means the thing is now so.
type Runtime interface {
	// Version is the runtime's name and version as shown in the Node's status: "containerd://1.6.20".
	Version(ctx context.Context) (string, error)
	// State lists every sandbox of this node with its containers; Sandbox reads that of one pod, nil when there is none.
	State(ctx context.Context) ([]Sandbox, error)
	Sandbox(ctx context.Context, pod types.UID) (*Sandbox, error)
	// Events yields the uid of each pod in which a container ended by itself. After an error, or a gap, the caller reads State again. It ends when ctx does.
	Events(ctx context.Context) iter.Seq2[types.UID, error]
	// Image returns a local image, or ErrNoImage.
	Image(ctx context.Context, ref string) (Image, error)
	// Pull fetches an image and returns it. Its errors wrap ErrNoImage (the registry does not have it), ErrUnauthorized, or neither (try again).
	Pull(ctx context.Context, ref string, login Credentials) (Image, error)
	// StartSandbox makes the namespaces, or finds them.
	StartSandbox(ctx context.Context, spec SandboxSpec) (Sandbox, error)
	// SetAddress remembers the address that the network gave to a sandbox, and gives its containers, also running ones, this /etc/hosts.
	SetAddress(ctx context.Context, pod types.UID, a netip.Addr, hosts string) error
	// StartContainer creates and starts. An error that wraps ErrCannotRun is the container's own fault (no such command …) and leaves
	// the container in State as Exited, code 128 (127 for a missing command: as Kubernetes shows them), reason StartError or ContainerCannotRun.
	StartContainer(ctx context.Context, spec ContainerSpec) error
	// Stop sends the image's stop signal (SIGTERM), waits for at most grace, then kills; it returns when the container has exited.
	Stop(ctx context.Context, id ContainerID, grace time.Duration) error
	// Remove deletes an exited container (its log stays). RemoveSandbox deletes a sandbox with all that is left in it.
	Remove(ctx context.Context, id ContainerID) error
	// Exec runs a further process in a running container.
	Exec(ctx context.Context, id ContainerID, p Process) (exitCode int, err error)
	RemoveSandbox(ctx context.Context, pod types.UID) error
}

// Process is a command with its streams. Resize carries terminal sizes while it runs.
type Process struct {
	Command        []string
	TTY            bool
	Stdin          io.Reader
	Stdout, Stderr io.Writer // with TTY everything goes to Stdout
	Resize         <-chan Size
}

// Size is a terminal's, in characters.
type Size struct{ Width, Height uint16 }

// Logger gives back what a container printed, oldest line first, only the last ones if there is a tail; with follow it goes on until the
// container has exited. Package sim has it; containerd's containers print into files (ContainerSpec.LogPath), which package logs reads.
type Logger interface {
	Logs(ctx context.Context, id ContainerID, tail *int64, follow bool) iter.Seq2[Line, error]
}

// Line is one line of a container's output, without its line feed, or a piece of one that was too long.
type Line struct {
	Time    time.Time
	Stderr  bool
	Partial bool // the next Line of this stream goes on where this one ends
	Text    string
}

// Prober is a runtime that answers probes itself, of a kind ("Readiness") each: in package sim nobody listens anywhere.
type Prober interface {
	Probe(id ContainerID, kind string) (ok bool, said string)
}

// Dialer is a runtime that connects to its pods' ports itself: in package sim they have no network.
type Dialer interface {
	Dial(ctx context.Context, pod types.UID, port int) (io.ReadWriteCloser, error)
}

// Images administers the node's images.
type Images interface {
	Import(ctx context.Context, tar io.Reader) ([]Image, error) // an OCI or docker archive
	Images(ctx context.Context) ([]Image, error)                // never nil
}

var (
	ErrNoImage      = errors.New("image not found")
	ErrUnauthorized = errors.New("the registry refused the login")
	ErrCannotRun    = errors.New("the container cannot run")
	ErrNotFound     = errors.New("no such container")
)
