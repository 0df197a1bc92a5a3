// Package appbundle reconciles AppBundles: it fetches and renders a revision, lets its migrations run first, stamps and
// applies its objects in an order that cannot race, waits until they are healthy, and prunes what left.
// How a step changes a database belongs to schemamigration; fetching, rendering, stamping and applying to internal.
package appbundle
