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

	"optimist/ctl/printer"
	"optimist/internal/api"
)

type image struct {
	*session
	nodes []string
}

func imageCommand(s *session) *cobra.Command {
	i := &image{session: s}
	load := &cobra.Command{Use: "load FILE", Short: "Load an image archive (docker save, OCI layout) onto nodes, without a registry",
		Example: "  docker save web:dev -o web.tar && ctl image load web.tar", Args: exactly(1, "the name of an archive"),
		RunE: func(c *cobra.Command, args []string) error {
			return i.each(c, func(t api.Target) error { return i.load(c, t, args[0]) })
		}}
	list := &cobra.Command{Use: "list", Short: "List the images that nodes have", Args: exactly(0, "no arguments"), RunE: i.list}
	for _, sub := range []*cobra.Command{load, list} {
		sub.Flags().StringSliceVar(&i.nodes, "node", nil, "Only these nodes (default: every ready one)")
		complete(sub, "node", s.completeNames(api.NodeKind))
	}
	return parent("image", "Load images onto nodes, and list them", load, list)
}

// each does something with the images of every chosen node; a node that fails does not keep the others from theirs.
func (i *image) each(c *cobra.Command, do func(api.Target) error) error {
	nodes := i.nodes
	if len(nodes) == 0 {
		var err error
		if nodes, err = i.readyNodes(c.Context()); err != nil {
			return err
		}
	}
	return each(nodes, nil, func(node string) error {
		err := do(api.Target{Kind: api.NodeKind, Key: api.Key{Name: node}, Sub: "images"})
		if err != nil {
			err = fmt.Errorf("node %s: %w", node, err)
		}
		return err
	})
}

func (i *image) readyNodes(ctx context.Context) (names []string, err error) {
	nodes, err := api.Nodes.List(ctx, i, "", api.ListOptions{})
	for _, n := range nodes {
		if api.NodeReady(n) {
			names = append(names, n.Name)
		}
	}
	if err == nil && len(names) == 0 {
		err = errors.New("no node is ready; see `ctl get nodes`, or name one with --node")
	}
	return names, err
}

// load streams one archive to one node and prints the names of the images that the node found in it.
func (i *image) load(c *cobra.Command, node api.Target, archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	var names bytes.Buffer
	if err := i.send(c.Context(), node.Key.Name, file, &names); err != nil {
		return err
	}
	for name := range bytes.Lines(names.Bytes()) {
		fmt.Fprintf(c.OutOrStdout(), "image %q loaded on node %s\n", bytes.TrimSpace(name), node.Key.Name)
	}
	return nil
}

func (s *session) send(ctx context.Context, node string, archive io.Reader, names io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	target := api.Target{Kind: api.NodeKind, Key: api.Key{Name: node}, Sub: "images"}
	stream, err := s.Connect(ctx, target, url.Values{"import": {"1"}, "stdin": {"true"}, "stdout": {"true"}})
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.Go(func() error {
		if err := pump(stream, archive); !errors.Is(err, io.EOF) {
			return err
		}
		return nil // the node has had enough; why, it says in its last word
	})
	return errors.Join(drain(stream, names, names), g.Wait())
}

func (i *image) list(c *cobra.Command, _ []string) error {
	var rows [][]any
	err := i.each(c, func(t api.Target) error {
		var answer bytes.Buffer
		if err := i.listen(c.Context(), t, url.Values{"stdout": {"true"}}, &answer); err != nil {
			return err
		}
		var all []struct {
			Name string `json:"name"`
			Size int64  `json:"size"`
		}
		err := json.Unmarshal(answer.Bytes(), &all)
		for _, s := range all {
			rows = append(rows, []any{t.Key.Name, s.Name, fmt.Sprintf("%.1f MiB", float64(s.Size)/(1<<20))})
		}
		return err
	})
	return errors.Join(printer.Plain(c.OutOrStdout(), false, rows, "Node", "Image", "Size"), err)
}
