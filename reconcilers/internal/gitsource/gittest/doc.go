// Package gittest gives tests a Git repository behind a real HTTP server.
// Only what tests of several packages need belongs here; nothing of it is part of the operator.
package gittest
