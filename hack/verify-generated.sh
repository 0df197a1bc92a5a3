#!/usr/bin/env bash
# Fails if generated code is not what the sources generate.
set -euo pipefail
cd "$(dirname "$0")/.."
generated=(apis/v1alpha1/zz_generated.deepcopy.go charts/interlock/crds)
before=$(cat apis/v1alpha1/zz_generated.deepcopy.go charts/interlock/crds/*.yaml | sha256sum)
make --no-print-directory generate >/dev/null
after=$(cat apis/v1alpha1/zz_generated.deepcopy.go charts/interlock/crds/*.yaml | sha256sum)
if [ "$before" != "$after" ]; then
  echo "generated code drifted: ${generated[*]}; run 'make generate' and commit the result" >&2
  exit 1
fi
