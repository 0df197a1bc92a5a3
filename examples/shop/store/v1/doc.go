// Package v1 is the store of shop version 1: the columns customer and total_cents (db/00001).
// What both versions share belongs into the package store.
// This SQL stays as it was released; a change of the schema is a new version beside it.
package v1
