package kubeconfig

import (
	yamlnode "go.yaml.in/yaml/v3"
)

var secrets = map[string]string{
	"certificate-authority-data": "DATA+OMITTED", "client-certificate-data": "DATA+OMITTED", "client-key-data": "DATA+OMITTED",
	"token": "REDACTED", "password": "REDACTED",
}

// Redact returns a kubeconfig without what must not be shown.
func Redact(data []byte) ([]byte, error) {
	var document yamlnode.Node
	if err := yamlnode.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	hide(&document)
	return yamlnode.Marshal(&document)
}

func hide(n *yamlnode.Node) {
	for i, child := range n.Content {
		if n.Kind == yamlnode.MappingNode && i%2 == 0 {
			if word, ok := secrets[child.Value]; ok {
				n.Content[i+1].SetString(word)
			}
		}
		hide(child)
	}
}
