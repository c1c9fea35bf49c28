package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

type image struct {
	*session
	nodes []string
}

func imageCommand(s *session) *cobra.Command {
	i := &image{session: s}
	load := &cobra.Command{
		Use:     "load FILE",
		Short:   "Load an image archive (docker save, OCI layout) onto nodes, without a registry",
		Example: "  docker save web:dev -o web.tar && ctl image load web.tar",
		Args:    exactly(1, "the name of an archive"),
		RunE:    i.load,
	}
	list := &cobra.Command{Use: "list", Short: "List the images that nodes have", Args: exactly(0, "no arguments"), RunE: i.list}
	for _, sub := range []*cobra.Command{load, list} {
		sub.Flags().StringSliceVar(&i.nodes, "node", nil, "Only these nodes (default: every ready one)")
		complete(sub, "node", s.completeNames(api.NodeKind))
	}
	return parent("image", "Load images onto nodes, and list them", load, list)
}

func (i *image) load(c *cobra.Command, args []string) error {
	return i.each(c, func(service api.Service, node string) error {
		file, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		return i.send(c, service, node, file, info.Size())
	})
}

// send streams one archive to one node and prints the names of the images that the node found in it.
func (i *image) send(c *cobra.Command, service api.Service, node string, file io.Reader, size int64) error {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	stream, err := service.Connect(ctx, images(node), url.Values{"import": {"1"}, "stdin": {"true"}, "stdout": {"true"}})
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.Go(func() error {
		err := (&sender{stream: stream}).pump(file, progress(c.ErrOrStderr(), node, size))
		if errors.Is(err, io.EOF) { // the node has had enough; why, it says in its last word
			return nil
		}
		return err
	})
	var names bytes.Buffer
	err = drain(stream, &names, c.ErrOrStderr())
	if err != nil {
		cancel()
		return err
	}
	for name := range bytes.Lines(names.Bytes()) {
		fmt.Fprintf(c.OutOrStdout(), "image %q loaded on node %s\n", bytes.TrimSpace(name), node)
	}
	return g.Wait()
}

// progress draws on a terminal how much is through.
func progress(out io.Writer, node string, size int64) func(int) {
	if !isTerminal(out) || size == 0 {
		return nil
	}
	sent, shown := int64(0), int64(-1)
	return func(n int) {
		sent += int64(n)
		if percent := sent * 100 / size; percent != shown {
			shown = percent
			fmt.Fprintf(out, "\r%s: %3d%% of %d MiB", node, percent, size>>20)
			if percent == 100 {
				fmt.Fprint(out, "\r\x1b[K")
			}
		}
	}
}

// stored is one image as a node lists it.
type stored struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

var imageColumns = []metav1.TableColumnDefinition{{Name: "Node"}, {Name: "Image"}, {Name: "Size"}}

func (i *image) list(c *cobra.Command, _ []string) error {
	table := printer.NewTable(c.OutOrStdout(), printer.Columns{})
	return i.each(c, func(service api.Service, node string) error {
		all, err := listed(c, service, node)
		if err != nil {
			return err
		}
		rows := make([][]any, len(all))
		for n, s := range all {
			rows[n] = []any{node, s.Name, fmt.Sprintf("%.1f MiB", float64(s.Size)/(1<<20))}
		}
		return table.Print(imageColumns, make([]api.Object, len(rows)), rows)
	})
}

func listed(c *cobra.Command, service api.Service, node string) ([]stored, error) {
	stream, err := service.Connect(c.Context(), images(node), url.Values{"stdout": {"true"}})
	if err != nil {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	var answer bytes.Buffer
	if err := drain(stream, &answer, c.ErrOrStderr()); err != nil {
		return nil, err
	}
	var all []stored
	if err := json.Unmarshal(answer.Bytes(), &all); err != nil {
		return nil, fmt.Errorf("its images are listed in a form that this ctl does not know: %w", err)
	}
	return all, nil
}

func images(node string) api.Target {
	return api.Target{Kind: api.NodeKind, Key: api.Key{Name: node}, Sub: "images"}
}

// each does something with every chosen node; a node that fails does not keep the others from theirs.
func (i *image) each(c *cobra.Command, do func(service api.Service, node string) error) error {
	service, err := i.connect()
	if err != nil {
		return err
	}
	nodes := i.nodes
	if len(nodes) == 0 {
		if nodes, err = readyNodes(c.Context(), service); err != nil {
			return err
		}
	}
	var faults []error
	for _, node := range nodes {
		if err := do(service, node); err != nil {
			faults = append(faults, fmt.Errorf("node %s: %w", node, err))
		}
	}
	return joined(faults)
}

func readyNodes(ctx context.Context, service api.Service) ([]string, error) {
	nodes, err := api.Nodes.List(ctx, service, "", api.ListOptions{})
	var names []string
	for _, n := range nodes {
		for _, condition := range n.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				names = append(names, n.Name)
			}
		}
	}
	if err == nil && len(names) == 0 {
		err = errors.New("no node is ready; see `ctl get nodes`, or name one with --node")
	}
	return names, err
}
