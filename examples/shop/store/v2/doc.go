// Package v2 is the store of shop version 2: the columns customer_name, total and currency (db/00002 to 00005).
// What both versions share belongs into the package store.
// It names none of the old columns, so it works before and after the contract step.
package v2
