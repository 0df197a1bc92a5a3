// Package postgres is how Interlock talks to a PostgreSQL server: direct connections with sane session settings,
// errors that say what to do next and never hold a password, and questions about the server and its sessions.
// What Interlock stores in a database belongs to journal, what it changes there to run.
package postgres
