// Package journal is what Interlock remembers inside the database, in the schema interlock: per series the fence, the
// steps and how far each got, the known versions, and the images and their versions. It changes together with what it
// describes, so it can not disagree with the database that holds it.
// Deciding what to do next belongs to plan, doing it to run.
package journal
