// Package compat classifies migrations: may a statement run while older code reads and writes (expand, backfill),
// or only once that code is gone (contract), and what does it cost (lock, rewrite, scan)?
// It decides from the text alone, with PostgreSQL's own parser; connections and files do not belong here.
package compat
