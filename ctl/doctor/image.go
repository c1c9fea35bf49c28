package doctor

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
)

// program is where the image has this executable.
const program = "/ctl"

// Image makes an image of this very executable, as a tar with an OCI layout in it, and names it after its content. (Image Layout and Image
// Specification 1.0; containerd takes the name from the annotation.)
func Image(out io.Writer) (name string, err error) {
	if runtime.GOOS != "linux" {
		return "", errors.New("pods need a Linux program, and this ctl is none: run ctl doctor on one of the nodes")
	}
	own, err := os.Executable()
	if err != nil {
		return "", err
	}
	executable, err := os.ReadFile(own)
	if err != nil {
		return "", err
	}
	return layout(out, executable)
}

func layout(out io.Writer, executable []byte) (name string, err error) {
	files := tar.NewWriter(out)
	add := func(w *tar.Writer, path string, data []byte, mode int64) {
		if err == nil {
			err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Size: int64(len(data)), Mode: mode})
		}
		if err == nil {
			_, err = w.Write(data)
		}
	}
	blob := func(kind string, data []byte) map[string]any {
		sum := sha256.Sum256(data)
		digest := hex.EncodeToString(sum[:])
		add(files, "blobs/sha256/"+digest, data, 0o644)
		return map[string]any{"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + digest, "size": len(data)}
	}
	encoded := func(v any) []byte { data, _ := json.Marshal(v); return data } // of maps and strings
	var layer bytes.Buffer
	content := tar.NewWriter(&layer)
	add(content, program[1:], executable, 0o755)
	for _, mounted := range []string{"etc/hosts", "etc/hostname", "etc/resolv.conf"} {
		add(content, mounted, nil, 0o644)
	}
	for _, dir := range []string{"proc/", "dev/", "sys/", "run/", "tmp/"} {
		err = errors.Join(err, content.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}))
	}
	err = errors.Join(err, content.Close())
	part := blob("layer.v1.tar", layer.Bytes())
	digest, _ := part["digest"].(string)
	name = "docker.io/optimist/doctor:" + digest[7:19]
	config := blob("config.v1+json", encoded(map[string]any{"os": "linux", "architecture": runtime.GOARCH,
		"config": map[string]any{"Entrypoint": []string{program}}, "rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest}}}))
	manifest := blob("manifest.v1+json", encoded(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": config, "layers": []any{part}}))
	manifest["annotations"] = map[string]string{"io.containerd.image.name": name}
	add(files, "index.json", encoded(map[string]any{"schemaVersion": 2, "manifests": []any{manifest}}), 0o644)
	add(files, "oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
	if err = errors.Join(err, files.Close()); err != nil {
		return "", fmt.Errorf("make the doctor's image: %w", err)
	}
	return name, nil
}
