package ctl

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"optimist/internal/api"
)

type copying struct {
	exec
	noPreserve bool
}

func cpCommand(s *session) *cobra.Command {
	p := &copying{exec: exec{session: s}}
	c := &cobra.Command{Use: "cp SOURCE DESTINATION", Short: "Copy files and folders to and from containers",
		Example: "  ctl cp page.html web-1:/www\n  ctl cp default/web-1:/var/log ./log -c web", Args: exactly(2, "SOURCE and DESTINATION"),
		RunE: p.run,
		Long: "Copy files and folders to and from containers, of which one is [[NAMESPACE/]POD:]PATH. The container needs a tar program.\n" +
			"Links are copied to a container, but not from it: what it holds is not to be trusted."}
	f := c.Flags()
	f.StringVarP(&p.container, "container", "c", "", "The container; by default the pod's first")
	f.BoolVar(&p.noPreserve, "no-preserve", false, "Leave owner and permissions of what is copied to the container to it")
	return c
}

// remote is a place in a pod; pod "" = in the local file system.
type remote struct{ namespace, pod, path string }

// parsePlace reads [[NAMESPACE/]POD:]PATH.
func parsePlace(arg string) (remote, error) {
	pod, file, ok := strings.Cut(arg, ":")
	if !ok || filepath.IsAbs(arg) || strings.HasPrefix(arg, ".") || filepath.VolumeName(arg) != "" {
		pod, file = "", arg
	}
	namespace, name, two := strings.Cut(pod, "/")
	if !two {
		namespace, name = "", pod
	}
	switch {
	case ok && arg[0] == ':' || strings.Contains(name, "/") || two && (namespace == "" || name == ""):
		return remote{}, errors.New("filespec must match the canonical format: [[namespace/]pod:]file/path")
	case file == "":
		return remote{}, errors.New("filepath can not be empty")
	}
	return remote{namespace, name, file}, nil
}

func (p *copying) run(c *cobra.Command, args []string) error {
	from, err := parsePlace(args[0])
	if err != nil {
		return err
	}
	to, err := parsePlace(args[1])
	if err != nil {
		return err
	}
	if (from.pod == "") == (to.pod == "") {
		return errors.New("one of src or dest must be a local file specification, the other a remote one: POD:PATH")
	}
	in, do := from, p.fetch
	if to.pod != "" {
		in, do = to, p.bring
		if _, err := os.Lstat(from.path); err != nil {
			return fmt.Errorf("%s doesn't exist in local filesystem", from.path)
		}
	}
	t := p.target(api.PodKind, in.pod)
	if in.namespace != "" {
		t.Key.Namespace = in.namespace
	}
	pod, err := api.Pods.Get(c.Context(), p, t.Key)
	if err != nil {
		return err
	}
	if p.container, err = chooseContainer(c, pod, p.container, p.quiet); err != nil {
		return err
	}
	t.Sub = "exec"
	return do(c, t, from.path, to.path)
}

func (p *copying) inside(ctx context.Context, t api.Target, in io.Reader, out, errOut io.Writer, command ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.stdin = in != nil
	stream, err := p.Connect(ctx, t, p.params(p.container, command))
	if err != nil {
		return err
	}
	go func() {
		if in == nil || pump(stream, in) != nil {
			_ = stream.CloseSend() // who is broken off says so
		}
	}()
	return drain(stream, out, errOut)
}

// bring copies to a pod: into destination if that is a folder there, else to its name.
func (p *copying) bring(c *cobra.Command, t api.Target, source, destination string) error {
	destination = path.Clean(destination)
	if p.inside(c.Context(), t, nil, io.Discard, io.Discard, "test", "-d", destination) == nil {
		destination = path.Join(destination, filepath.Base(source))
	}
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := pack(w, source, path.Base(destination))
		w.CloseWithError(err)
		packed <- err
	}()
	command := []string{"tar", "-xmf", "-", "-C", path.Dir(destination)}
	if p.noPreserve {
		command = append(command, "--no-same-permissions", "--no-same-owner")
	}
	err := p.inside(c.Context(), t, r, c.OutOrStdout(), c.ErrOrStderr(), command...)
	r.Close()
	if bad := <-packed; bad != nil && !errors.Is(bad, io.ErrClosedPipe) {
		return bad
	}
	return err
}

// pack writes a file, or a folder with all in it, under a new name.
func pack(to io.Writer, source, name string) error {
	archive := tar.NewWriter(to)
	err := filepath.Walk(source, func(file string, info fs.FileInfo, err error) error {
		if err != nil {
			return err
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if link, err = os.Readlink(file); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, filepath.ToSlash(link))
		if err != nil {
			return err
		}
		below, err := filepath.Rel(source, file)
		if err != nil {
			return err
		}
		h.Name = path.Join(name, filepath.ToSlash(below))
		if err := archive.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(archive, f)
		return err
	})
	return errors.Join(err, archive.Close())
}

// fetch copies from a pod: into destination if that is a folder here, else to its name.
func (p *copying) fetch(c *cobra.Command, t api.Target, source, destination string) error {
	if info, err := os.Stat(destination); err == nil && info.IsDir() {
		destination = filepath.Join(destination, path.Base(path.Clean("/"+source)))
	}
	r, w := io.Pipe()
	defer r.Close()
	go func() { w.CloseWithError(p.inside(c.Context(), t, nil, w, c.ErrOrStderr(), "tar", "cf", "-", source)) }()
	if err := unpack(c.ErrOrStderr(), r, source, destination); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, r) // what fills an archive up, and the outcome
	return err
}

// unpack writes what an archive has below source to destination, and nothing elsewhere, whatever names and links are in it or in the way.
func unpack(warn io.Writer, from io.Reader, source, destination string) error {
	folder, name := filepath.Split(filepath.Clean(destination))
	folder = filepath.Clean(folder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	place := func(member string) (string, bool) {
		below, ok := strings.CutPrefix(path.Clean("/"+member)+"/", strings.TrimSuffix(path.Clean("/"+source), "/")+"/")
		return filepath.Join(name, filepath.FromSlash(below)), ok
	}
	for archive := tar.NewReader(from); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		to, ok := place(h.Name)
		linked, known := place(h.Linkname)
		if mode := h.FileInfo().Mode(); !ok || h.Typeflag == tar.TypeLink && !known {
			fmt.Fprintf(warn, "warning: file %q is outside target destination, skipping\n", h.Name)
		} else if h.Typeflag == tar.TypeLink {
			_ = root.Remove(to)
			err = root.Link(linked, to)
		} else if mode.IsDir() {
			err = root.MkdirAll(to, mode.Perm()|0o700)
		} else if mode.IsRegular() {
			err = unpackFile(root, to, mode.Perm(), archive)
		} else {
			fmt.Fprintf(warn, "warning: skipping %q, which is no file or folder\n", h.Name)
		}
		if err != nil {
			return err
		}
	}
}

func unpackFile(root *os.Root, name string, mode fs.FileMode, content io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
