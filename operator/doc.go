// Command interlock is Interlock's one binary: the operator and what a person types.
// Here belong main, one file for each subcommand, flags and wiring.
// Decisions do not: they live in migrations and reconcilers.
package main
