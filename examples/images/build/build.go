// Package build makes the example images in-process: a static program or two, one layer, an OCI layout in a tar. Tests build theirs
// with it as well.
//
// The name travels as the annotation io.containerd.image.name: unlike in docker's archives, the manifest, and with it the image's
// digest, arrives as it was made.
package build

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image is a recipe.
type Image struct {
	Name   string
	Layer  func() ([]byte, error) // an uncompressed tar
	Config v1.Config
}

// All are the images of the examples.
func All() []Image { return []Image{Web("1"), Web("2"), Busybox()} }

// Web is the server of examples/images/web in one of its versions.
func Web(version string) Image {
	return Image{
		Name:   "optimist/web:" + version,
		Layer:  func() ([]byte, error) { return webLayer(version) },
		Config: v1.Config{Entrypoint: []string{"/web"}, Env: []string{"PATH=/"}, ExposedPorts: map[string]struct{}{"8080/tcp": {}}},
	}
}

// Busybox is Debian's busybox-static, under the names of all its applets.
func Busybox() Image {
	return Image{
		Name:   "optimist/busybox:1",
		Layer:  busyboxLayer,
		Config: v1.Config{Cmd: []string{"sh"}, Env: []string{"PATH=/bin"}},
	}
}

// Program is an image of nothing but a static program.
func Program(name, path string) Image {
	return Image{Name: name, Config: v1.Config{Entrypoint: []string{"/program"}}, Layer: func() ([]byte, error) {
		program, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return layer(func(l *tarLayer) { l.file("program", 0o755, program) })
	}}
}

func webLayer(version string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "optimist-web-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "web")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+version, "-o", binary, "optimist/examples/images/web")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the web server (run this inside Optimist's sources): %w\n%s", err, out)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	return layer(func(l *tarLayer) { l.file("web", 0o755, program) })
}

func busyboxLayer() ([]byte, error) {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return nil, fmt.Errorf("%w; install Debian's busybox-static", err)
	}
	applets, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		return nil, err
	}
	return layer(func(l *tarLayer) {
		l.dir("bin", 0o755)
		l.file("bin/busybox", 0o755, program)
		for _, applet := range bytes.Fields(applets) {
			if string(applet) != "busybox" {
				l.link("bin/"+string(applet), "busybox")
			}
		}
	})
}

// layer adds what every image needs: mount points (a read-only root can't grow them) and a user database.
func layer(fill func(*tarLayer)) ([]byte, error) {
	var buffer bytes.Buffer
	l := &tarLayer{w: tar.NewWriter(&buffer)}
	for _, dir := range []string{"proc", "dev", "sys", "run", "etc", "root"} {
		l.dir(dir, 0o755)
	}
	l.dir("tmp", 0o1777)
	l.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"))
	l.file("etc/group", 0o644, []byte("root:x:0:\nnobody:x:65534:\n"))
	for _, mounted := range []string{"etc/hosts", "etc/hostname", "etc/resolv.conf"} {
		l.file(mounted, 0o644, nil)
	}
	fill(l)
	if l.err != nil {
		return nil, l.err
	}
	return buffer.Bytes(), l.w.Close()
}

// tarLayer writes entries until one fails.
type tarLayer struct {
	w   *tar.Writer
	err error
}

func (l *tarLayer) dir(name string, mode int64) {
	l.add(tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}, nil)
}

func (l *tarLayer) link(name, target string) {
	l.add(tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, nil)
}

func (l *tarLayer) file(name string, mode int64, data []byte) {
	l.add(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(data))}, data)
}

func (l *tarLayer) add(h tar.Header, data []byte) {
	if l.err == nil {
		l.err = l.w.WriteHeader(&h)
	}
	if l.err == nil {
		_, l.err = l.w.Write(data)
	}
}

// Build makes the image.
func (i Image) Build() (v1.Image, error) {
	data, err := i.Layer()
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config = "linux", runtime.GOARCH, i.Config
	return mutate.ConfigFile(image, config)
}

// WriteFile builds the image into an archive.
func (i Image) WriteFile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := i.Write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// Write builds the image and writes its OCI layout as a tar.
func (i Image) Write(w io.Writer) error {
	image, err := i.Build()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "optimist-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	target, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if err := target.AppendImage(image, layout.WithAnnotations(map[string]string{"io.containerd.image.name": i.Name})); err != nil {
		return err
	}
	return pack(w, dir)
}

func pack(w io.Writer, dir string) error {
	out := tar.NewWriter(w)
	if err := out.AddFS(os.DirFS(dir)); err != nil {
		return err
	}
	return out.Close()
}
