#!/usr/bin/env bash
# Says what is needed and stops early, with the reason, where it can not work.
set -euo pipefail
what=${1:-test}
fail() { echo "interlock: make $what: $*" >&2; exit 1; }
[ "$(uname -s)" = Linux ] || fail "needs Linux: it starts real nodes in network namespaces"
[ "$(id -u)" = 0 ] || fail "needs root: it mounts file systems and makes network namespaces; run it as root on a machine you can spare"
command -v go >/dev/null || fail "needs Go; install the version that go.mod names"
command -v git >/dev/null || command -v apt-get >/dev/null || fail "needs git, or apt-get to install it"
command -v apt-get >/dev/null || fail "needs Debian or a relative of it: apt-get installs what the nodes are made of"
free_gib=$(df -Pk . | awk 'NR==2 {print int($4/1048576)}')
[ "$free_gib" -ge 15 ] || fail "needs 15 GiB of free disk for build cache and root file systems; $free_gib are free here"
mem_gib=$(awk '/MemAvailable/ {print int($2/1048576)}' /proc/meminfo)
[ "$mem_gib" -ge 4 ] || fail "needs 4 GiB of free memory; $mem_gib are free"
