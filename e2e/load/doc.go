// Package load sends requests to the example shop at a fixed rate, checks every answer, and compares what was
// acknowledged with what the database holds in the end.
// It is an open loop: requests start when they are due, not when earlier ones are done, latency counts from then,
// and nothing is tried twice. Where the shop runs and what is done to it meanwhile belongs into demo and scenarios.
package load
