package ctl

import (
	"encoding/json"
	"fmt"
	"io"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

// checkResultFormat refuses what -o of a writing command does not know: it prints the object, not a table.
func checkResultFormat(format string) error {
	if format == "wide" {
		return printer.Check("wide (there is no table here)")
	}
	return printer.Check(format)
}

// printResult tells what became of an object: "deployment.apps/web created", or the object itself.
func printResult(out io.Writer, format string, item printer.Item, did string) error {
	switch format {
	case "":
		_, err := fmt.Fprintln(out, item.Name(), did)
		return err
	case "name":
		return printer.Names(out, []printer.Item{item})
	default:
		return printer.Object(out, format, item, false)
	}
}

// decoded is a document as a typed object; the manifest has checked it already.
func decoded(t api.Target, data []byte) (api.Object, error) {
	object, err := t.Kind.New(t.Version)
	if err != nil {
		return nil, err
	}
	return object, json.Unmarshal(data, object)
}
