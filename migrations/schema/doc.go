// Package schema holds what the schema engine's parts share: versions, phases, goose files and how they load.
// Its folders do the work: compat classifies, plan decides, journal remembers, run executes.
// Kubernetes does not belong here: this is a library, and what the command line uses.
package schema
