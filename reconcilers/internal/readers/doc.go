// Package readers counts who still reads a series at a version: pods, templates and database sessions.
// Judge is a pure function over what was listed; List does the listing, with consistent reads.
// What to do about a reader is not decided here.
package readers
