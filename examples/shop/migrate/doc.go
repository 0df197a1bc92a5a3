// Command migrate runs all migrations of a folder, the way a Job or a hook usually does it before a roll-out.
// It is what the demo compares Interlock with; Interlock itself does not use it.
// The folder of SQL files comes as a volume; the database comes in DATABASE_URL.
package main
