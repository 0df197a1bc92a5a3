#!/usr/bin/env bash
# Builds Debian root file systems for tests and the local cluster.
#
#   hack/rootfs.sh postgres     PostgreSQL 17: server, psql, pgbench; no data in it
#   hack/rootfs.sh node         a node of the local cluster: containerd, runc, CNI
#
# The result is .local/cache/rootfs/NAME; its path is the only line on stdout.
# Built once: a stamp (NAME.stamp) of this recipe says whether it is current. The
# build happens beside it and is renamed, so a directory that exists is whole.
#
# Programs run from it as any user that it knows:
#   chroot --userspec=postgres:postgres .local/cache/rootfs/postgres \
#     /usr/lib/postgresql/17/bin/initdb -D /tmp/data
#
# Packages come from the Debian mirror that this machine's apt already uses, or
# from $INTERLOCK_DEBIAN_MIRROR.
set -euo pipefail

readonly suite=trixie
readonly recipe=3 # raise it when the steps below change what comes out

name=${1:-}
exclude=()
case $name in
postgres)
	packages="postgresql-17 postgresql-client-17"
	# 160 MB for compiling queries; without them PostgreSQL interprets every query.
	exclude=('/usr/lib/*/libLLVM*' '/usr/lib/*/libz3*' '/usr/lib/postgresql/*/lib/llvmjit*' '/usr/lib/postgresql/*/lib/bitcode/*')
	;;
node) packages="ca-certificates containerd runc containernetworking-plugins iproute2 iptables nftables procps" ;;
*)
	sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
	exit 2
	;;
esac

say() { echo "rootfs $name: $*" >&2; }
fail() {
	say "$*"
	exit 1
}

[ "$(uname -s)" = Linux ] || fail "needs Linux; this is $(uname -s)"
[ "$(id -u)" = 0 ] || fail "needs root (chroot, device files, file owners); run it as root"
command -v apt-get >/dev/null || fail "needs a Debian host: apt-get is not here"

root=$(cd "$(dirname "$0")/.." && pwd)
cache=$root/.local/cache/rootfs
mkdir -p "$cache"
want="recipe=$recipe suite=$suite arch=$(dpkg --print-architecture) packages=$packages${exclude:+ without=${exclude[*]}}"

# One builder at a time; the others wait here and find the result.
exec 9>"$cache/$name.lock"
if ! flock -n 9; then
	say "another build of it is running; waiting for that one"
	flock 9
fi

# The first line of a stamp is the recipe, the second one is unique to the build.
current() { [ -d "$cache/$name" ] && [ "$(head -n 1 "$cache/$name.stamp" 2>/dev/null)" = "$want" ]; }
if current; then
	echo "$cache/$name"
	exit 0
fi

install_mmdebstrap() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get install -qq -y --no-install-recommends mmdebstrap >/dev/null 2>&1 && return
	apt-get update -qq >&2
	apt-get install -qq -y --no-install-recommends mmdebstrap >&2
}
if ! command -v mmdebstrap >/dev/null; then
	say "installing mmdebstrap with apt-get"
	install_mmdebstrap </dev/null || fail "cannot install mmdebstrap; run: apt-get update && apt-get install mmdebstrap"
fi

mirror_of_host() {
	# shellcheck disable=SC2016 # $(REPO_URI) is for apt-get, not for the shell
	apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Label: Debian' 2>/dev/null | head -n 1
}
mirror=${INTERLOCK_DEBIAN_MIRROR:-$(mirror_of_host)}
if [ -z "$mirror" ]; then
	apt-get update -qq >&2 || true
	mirror=$(mirror_of_host)
fi
[ -n "$mirror" ] || fail "this machine's apt knows no Debian mirror; set INTERLOCK_DEBIAN_MIRROR to the URL of one"

dpkgopts=()
for path in '/usr/share/man/*' '/usr/share/doc/*' '/usr/share/info/*' '/usr/share/locale/*' "${exclude[@]}"; do
	dpkgopts+=("--dpkgopt=path-exclude=$path")
done

# What this machine's apt needs to reach its mirror, the build needs too.
aptopts=()
while IFS= read -r line; do
	aptopts+=("--aptopt=$line")
done < <(apt-config dump | grep -E '^Acquire::(http|https)::Proxy |^Acquire::Check-(Valid-Until|Date) ' || true)

build=$(mktemp -d "$cache/.$name.XXXXXX")
ticker=
cleanup() {
	[ -z "$ticker" ] || kill "$ticker" 2>/dev/null || true
	rm -rf --one-file-system "$build"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
# A build that was killed leaves its directory; the lock says that it is dead.
find "$cache" -mindepth 1 -maxdepth 1 -name ".$name.??????" ! -path "$build" -exec rm -rf --one-file-system {} +

say "building from Debian $suite ($packages); about a minute, once"
start=$SECONDS
(while sleep 10; do say "still at it ($((SECONDS - start)) s): $(tail -n 1 "$build/log" 2>/dev/null | cut -c 1-90)"; done) 9>&- &
ticker=$!

# PostgreSQL's package would start a database of its own.
no_cluster='mkdir -p "$1/etc/postgresql-common" && echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"'
if ! mmdebstrap --mode=root --format=directory --variant=minbase --include="${packages// /,}" \
	--aptopt='APT::Install-Recommends "false"' "${aptopts[@]}" \
	--dpkgopt=force-unsafe-io \
	"${dpkgopts[@]}" \
	--essential-hook="$no_cluster" \
	"$suite" "$build/root" "deb $mirror $suite main" >"$build/log" 2>&1 </dev/null 9>&-; then
	tail -n 20 "$build/log" >&2
	fail "mmdebstrap failed (its last lines are above)"
fi

chmod 755 "$build/root"
chmod 1777 "$build/root/tmp" "$build/root/dev/shm"
[ -e "$build/root/etc/hosts" ] || echo "127.0.0.1 localhost" >"$build/root/etc/hosts"
[ -c "$build/root/dev/null" ] || mknod -m 666 "$build/root/dev/null" c 1 3
rm -f "$build/root/etc/resolv.conf" "$build/root/etc/hostname"

rm -f "$cache/$name.stamp"
rm -rf --one-file-system "${cache:?}/$name"
mv "$build/root" "$cache/$name"
printf '%s\n%s\n' "$want" "$(cat /proc/sys/kernel/random/uuid)" >"$cache/$name.stamp.new"
mv "$cache/$name.stamp.new" "$cache/$name.stamp"
say "done in $((SECONDS - start)) s, $(du -sh "$cache/$name" | cut -f 1)"
echo "$cache/$name"
