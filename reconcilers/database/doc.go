// Package database reconciles Databases: it logs in, and says what Interlock can see and do there.
// Changing a schema is not done here; that is schemamigration.
package database
