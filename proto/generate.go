// Package proto is the native wire format, generated from objects.proto. `make generate` makes it anew; `make check` fails when it is stale.
package proto

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative objects.proto
//go:generate sh -c "sha256sum objects.proto objects.pb.go objects_grpc.pb.go > generated.sum"
