// Package postgres runs a real PostgreSQL 17 for the shop's tests, on loopback, as long as the test lasts.
// It needs root on Linux and the root file system that hack/rootfs.sh builds.
// What the tests do with it belongs beside what they test.
package postgres
