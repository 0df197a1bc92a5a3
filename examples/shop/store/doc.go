// Package store says what every version of the shop keeps: the terms that both its schemas share.
// The SQL of one version belongs into store/v1 or store/v2, HTTP into app.
// It is example code: nothing in Interlock itself imports it.
package store
