// Package shop holds the example app: its code in two versions (app, store), its Git history (history/1 and
// history/2 are the repository's tree before and after one commit) and what a platform team sets up for it
// (platform). What runs it, the demo and the end-to-end tests, belongs into e2e.
package shop

import "embed"

// History is the repository of the shop's team, one tree for each commit: history/1/… and history/2/….
//
//go:embed history
var History embed.FS

// Platform holds the manifests of the platform team: the database, accounts, issuer and the AppBundle.
//
//go:embed platform
var Platform embed.FS
