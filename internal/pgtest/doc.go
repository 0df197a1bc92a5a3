// Package pgtest runs a real PostgreSQL for tests: one server per test binary, one fresh
// database per test. The server comes from the root file system that hack/rootfs.sh builds; nothing is faked.
// Assertions and fixtures do not belong here, nor anything that production code imports.
package pgtest
