package ctl

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

type patcher struct {
	*modify
	text, file, how, sub string
	data                 []byte // the patch as JSON
}

var patchTypes = map[string]types.PatchType{"json": types.JSONPatchType, "merge": types.MergePatchType, "strategic": types.StrategicMergePatchType}

func patchCommand(s *session) *cobra.Command {
	p := &patcher{modify: newModify(s)}
	c := p.modify.command(&cobra.Command{
		Use:   "patch TYPE/NAME -p PATCH",
		Short: "Change fields of an object",
		Example: "  ctl patch deployment/web -p '{\"spec\":{\"replicas\":2}}'\n" +
			"  ctl patch pod/web --type=json -p '[{\"op\":\"remove\",\"path\":\"/metadata/finalizers/0\"}]'",
		RunE: p.patch,
	})
	f := c.Flags()
	f.StringVarP(&p.text, "patch", "p", "", "The patch, as JSON or YAML")
	f.StringVar(&p.file, "patch-file", "", "A file that holds it")
	f.StringVar(&p.how, "type", "strategic", "What kind of patch: json, merge or strategic")
	f.StringVar(&p.sub, "subresource", "", `A part of the object that is written by itself: "status" or "scale"`)
	return c
}

func (p *patcher) patch(c *cobra.Command, args []string) (err error) {
	if patchTypes[p.how] == "" {
		return usage(c, "--type must be one of [json merge strategic], not %q", p.how)
	}
	switch {
	case (p.text == "") == (p.file == ""):
		return usage(c, "must specify --patch or --patch-file containing the contents of the patch")
	case p.file != "":
		text, err := os.ReadFile(p.file)
		if err != nil {
			return err
		}
		p.text = string(text)
	}
	if p.data, err = yaml.YAMLToJSON([]byte(p.text)); err != nil {
		return fmt.Errorf("unable to parse %q: %w", p.text, err)
	}
	p.change, p.send = p.alter, p.sendAsWritten
	return p.run(c, args)
}

func (p *patcher) sendAsWritten(ctx context.Context, t api.Target, _, _ api.Object) (api.Result, error) {
	t.Sub = p.sub
	return p.sendPatch(ctx, t, patchTypes[p.how], p.data)
}

// alter applies the patch here, where no server does.
func (p *patcher) alter(o api.Object) (did string, err error) {
	if !p.local && p.dry != "client" {
		return "patched", nil
	}
	before, _ := json.Marshal(o) // of typed objects this never fails
	var after []byte
	switch p.how {
	case "json":
		var ops jsonpatch.Patch
		if ops, err = jsonpatch.DecodePatch(p.data); err == nil {
			after, err = ops.Apply(before)
		}
	case "merge":
		after, err = jsonpatch.MergePatch(before, p.data)
	default:
		after, err = strategicpatch.StrategicMergePatch(before, p.data, o)
	}
	if err != nil {
		return "", err
	}
	k := api.Builtin.Of(o)
	fresh, err := k.New("")
	if err == nil {
		err = json.Unmarshal(after, fresh)
	}
	if err == nil {
		reflect.ValueOf(o).Elem().Set(reflect.ValueOf(fresh).Elem()) // what the patch has removed must not stay
	}
	return "patched", err
}
