// Package clients drives the REST door with the clients that people use. It is a module of its own, so that nothing of them gets into the product's.
//
//	streams_test.go   client-go's executors and port-forwarder, through a real connection, against a fake agent
package clients
