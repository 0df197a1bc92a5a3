// Package test tries the chart: what it renders, and its admission policies on a real API server.
// Here belongs what a user of the chart relies on, every allowed and every refused write with its message.
// How Interlock fills the params objects is tested where that is decided.
package test
