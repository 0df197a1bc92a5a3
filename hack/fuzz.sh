#!/usr/bin/env bash
# Runs every fuzz test of the module for the given time.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
grep -rlE '^func Fuzz[A-Z]' --include='*_test.go' migrations reconcilers apis operator | while read -r file; do
  for name in $(grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | sed 's/^func //'); do
    echo "fuzz $name in $(dirname "$file") for $time"
    go test "./$(dirname "$file")" -run '^$' -fuzz "^$name\$" -fuzztime "$time"
  done
done
