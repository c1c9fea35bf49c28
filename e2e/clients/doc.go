// Package clients drives the REST door with the clients that people use. It is a module of its own, so that nothing of them gets into the product's.
//
//	streams_test.go   streams: executors and port-forwarder of client-go before the door and an agent whose processes are Go functions (node_test.go)
//	cluster_test.go   a whole cluster in this process behind its port
package clients
