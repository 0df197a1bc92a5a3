#!/usr/bin/env bash
# Builds golangci-lint from source, once, and runs it over the modules.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.local/bin/golangci-lint
if [ ! -x "$bin" ] || [ hack/lint/go.sum -nt "$bin" ]; then
  echo "building golangci-lint (a few minutes the first time)"
  (cd hack/lint && go build -o "$bin" github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
fi
for module in . e2e e2e/cluster charts/interlock/test; do
  echo "lint $module"
  (cd "$module" && "$bin" run --config "$OLDPWD/.golangci.yml" --timeout 15m ./...)
done
# The API linter: documented, bounded, optional or required, no booleans that may grow a third value.
go test ./apis/... -run TestAPIConventions
