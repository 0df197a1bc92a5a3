// Command app is the example shop: a small HTTP and JSON server over one table of a PostgreSQL database.
// HTTP and the life of the process belong here; SQL belongs into the stores, one package for each version.
// One binary is built for each version: go build -ldflags "-X main.version=2".
package main
