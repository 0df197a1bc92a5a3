// Package schemamigration reconciles SchemaMigrations: it runs expand and backfill steps, publishes what may
// start, raises the fence, waits for the last old reader, and only then runs a contract step.
// What a statement does to running code is judged in migrations/schema; who may start, in the chart's policies.
package schemamigration
