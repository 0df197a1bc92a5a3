// Package apis is the root of Interlock's API groups and of their specification pages.
// Here belong kinds, conditions, reasons and constants that a user may see in a manifest.
// Behaviour does not: nothing in here talks to a cluster or to a database.
package apis
