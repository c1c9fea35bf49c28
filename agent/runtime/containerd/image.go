package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"

	"optimist/agent/runtime"
)

// canonical spells a reference out: "nginx" is docker.io/library/nginx:latest.
func canonical(ref string) (string, error) {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return "", fmt.Errorf("image %q is no valid reference: %w", ref, err)
	}
	return named.String(), nil
}

// Image returns a local image, or runtime.ErrNoImage.
func (r *Runtime) Image(ctx context.Context, ref string) (runtime.Image, error) {
	ctx = r.in(ctx)
	image, err := r.imageFor(ctx, runtime.ContainerSpec{Image: ref})
	if err != nil {
		return runtime.Image{}, err
	}
	return r.describeImage(ctx, image)
}

func (r *Runtime) describeImage(ctx context.Context, image client.Image) (runtime.Image, error) {
	id := image.Target().Digest.String()
	size, err := image.Size(ctx)
	if err != nil {
		return runtime.Image{}, fmt.Errorf("size of image %s: %w", image.Name(), err)
	}
	same, err := r.client.ImageService().List(ctx, "target.digest=="+id)
	if err != nil {
		return runtime.Image{}, err
	}
	var tags []string
	for _, s := range same {
		tags = append(tags, s.Name)
	}
	slices.Sort(tags)
	return runtime.Image{Ref: image.Name(), ID: id, Size: size, Tags: tags}, nil
}

// imageFor finds what the pod asked for: by the digest that was pulled for it, should the name have moved on since.
func (r *Runtime) imageFor(ctx context.Context, spec runtime.ContainerSpec) (client.Image, error) {
	name, err := canonical(spec.Image)
	if err != nil {
		return nil, err
	}
	filter := fmt.Sprintf("name==%q", name)
	if spec.ImageID != "" {
		filter = "target.digest==" + spec.ImageID
	}
	found, err := r.client.ImageService().List(ctx, filter)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w on this node: %s %s", runtime.ErrNoImage, name, spec.ImageID)
	}
	return client.NewImage(r.client, found[0]), nil
}

// Pull fetches and unpacks an image. A registry on this machine may speak plain HTTP.
func (r *Runtime) Pull(ctx context.Context, ref string, login runtime.Credentials) (runtime.Image, error) {
	ctx = r.in(ctx)
	name, err := canonical(ref)
	if err != nil {
		return runtime.Image{}, fmt.Errorf("%w: %w", runtime.ErrNoImage, err)
	}
	hosts := config.HostOptions{Credentials: func(string) (string, string, error) { return login.Username, login.Password, nil }}
	image, err := r.client.Pull(ctx, name,
		client.WithResolver(docker.NewResolver(docker.ResolverOptions{Hosts: config.ConfigureHosts(ctx, hosts)})),
		client.WithPullUnpack)
	if err != nil {
		return runtime.Image{}, pullError(name, err)
	}
	return r.describeImage(ctx, image)
}

// pullError tells what more pulling will not help from what it may.
func pullError(name string, err error) error {
	var status remoteerrors.ErrUnexpectedStatus
	denied := errors.As(err, &status) && (status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden)
	switch {
	case denied, errors.Is(err, docker.ErrInvalidAuthorization):
		return fmt.Errorf("pull %s: %w; is the image pull secret right? %w", name, runtime.ErrUnauthorized, err)
	case errdefs.IsNotFound(err):
		return fmt.Errorf("pull %s: %w in the registry: %w", name, runtime.ErrNoImage, err)
	}
	return fmt.Errorf("pull %s: %w", name, err)
}

// Import reads an OCI layout or docker archive, unpacks each image and names it as pods do.
func (r *Runtime) Import(ctx context.Context, tar io.Reader) ([]runtime.Image, error) {
	ctx = r.in(ctx)
	imported, err := r.client.Import(ctx, tar)
	if err != nil {
		return nil, fmt.Errorf("import (an OCI or docker archive is expected): %w", err)
	}
	var all []runtime.Image
	for _, i := range imported {
		if i, err = r.rename(ctx, i); err != nil {
			return nil, err
		}
		image := client.NewImage(r.client, i)
		if err := image.Unpack(ctx, ""); err != nil {
			return nil, fmt.Errorf("unpack %s: %w", i.Name, err)
		}
		described, err := r.describeImage(ctx, image)
		if err != nil {
			return nil, err
		}
		all = append(all, described)
	}
	if len(all) == 0 {
		return nil, errors.New("import: the archive names no image; give it a tag, for example with docker save name:tag")
	}
	return all, nil
}

// rename gives an image the canonical form of the name its archive had.
func (r *Runtime) rename(ctx context.Context, i images.Image) (images.Image, error) {
	name, err := canonical(i.Name)
	if err != nil || name == i.Name {
		return i, err
	}
	service := r.client.ImageService()
	renamed, err := service.Create(ctx, images.Image{Name: name, Target: i.Target, Labels: i.Labels})
	if errdefs.IsAlreadyExists(err) {
		renamed, err = service.Update(ctx, images.Image{Name: name, Target: i.Target}, "target")
	}
	if err != nil {
		return i, err
	}
	return renamed, service.Delete(ctx, i.Name)
}

// Images lists every image once, by the first of its names.
func (r *Runtime) Images(ctx context.Context) ([]runtime.Image, error) {
	ctx = r.in(ctx)
	listed, err := r.client.ListImages(ctx)
	if err != nil {
		return nil, err
	}
	all := []runtime.Image{}
	for _, image := range listed {
		described, err := r.describeImage(ctx, image)
		if err != nil {
			return nil, err
		}
		if described.Tags[0] == image.Name() {
			all = append(all, described)
		}
	}
	return all, nil
}
