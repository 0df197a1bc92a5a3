// Package gitsource brings a Git repository's commits close: it asks the remote for a ref, keeps a bare clone in a
// cache that may vanish at any time, and gives out trees and first-parent history.
// What the files mean is not decided here, and it writes nothing to a remote.
package gitsource
