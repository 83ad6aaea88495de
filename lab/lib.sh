# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What the lab's scripts share: messages, the cache directory, locks, root, package installation.
#
# in: VKICK_CACHE (where downloads and builds are kept). out: functions and $cache; nothing runs when this is sourced.

cache=${VKICK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vkick}

# The lab's output is on stdout (a path, mostly), so everything that is said to people goes to stderr.
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() { say "$@"; exit 1; }

# as_root CMD...: runs CMD as root.
as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "'$*' needs root: install sudo, or run this as root"
	fi
}

# lock NAME: from here to the end of this script, no other process holds the lock NAME.
# The lock is a file of its own and is never removed: removing one that another process waits for would split it in two.
lock()
{
	local fd
	mkdir -p "$cache/lock"
	exec {fd}>"$cache/lock/$1"
	flock -n "$fd" && return
	say "waiting for another process that makes $1"
	flock "$fd"
}

# make_dir DIR FUNCTION: makes the cache directory DIR complete or not at all: FUNCTION fills the directory that its
# argument names, which is then renamed. The caller holds the lock. Not to be called where `set -e` is off (if, &&, ||).
make_dir()
{
	tmp=$(mktemp -d "$1.tmp.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	"$2" "$tmp"
	chmod 755 "$tmp"
	mv "$tmp" "$1"
	trap - EXIT
}

# timed WHAT CMD...: says that WHAT is being done and, afterwards, how long it took. CMD's stdout goes to stderr.
timed()
{
	local timed_what=$1 timed_start=$SECONDS
	shift
	say "$timed_what ..."
	"$@" >&2
	say "$timed_what: done in $((SECONDS - timed_start)) s"
}

# Another apt, such as a daily one, may hold the lock on the lists, for which apt-get itself would not wait.
apt_update()
{
	local tries said
	say "apt-get update"
	for ((tries = 0; tries < 30; tries++)); do
		said=$(as_root env LC_ALL=C apt-get -qq update 2>&1) && return
		[[ $said == *"Could not get lock"* ]] || break
		say "waiting for another apt-get"
		sleep 10
	done
	echo "$said" >&2
	return 1
}

# The lists are there, and not older than a day.
apt_lists_fresh()
{
	[ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -print -quit 2>/dev/null)" ] &&
		[ -n "$(find /var/lib/apt/lists /var/cache/apt/pkgcache.bin -maxdepth 0 -mmin -1440 -print -quit 2>/dev/null)" ]
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# install_packages PACKAGE...: installs those that are missing, having said which; does nothing if there are none.
install_packages()
{
	local package missing=()
	for package; do
		is_installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing: ${missing[*]}"
	apt_lists_fresh || apt_update || say "apt-get update failed, trying with the lists that are there"
	apt_install "${missing[@]}" && return
	# The archive drops superseded versions, so lists that are a few hours old may name files that are gone.
	apt_update && apt_install "${missing[@]}"
}

apt_install()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 \
		install --no-install-recommends "$@" >&2
}

# A short name, for cache keys, of what is on stdin.
short_hash() { sha256sum | cut -c 1-12; }

# copy_modules KERNEL ROOT MODULE...: copies the modules, those they depend on, and depmod's files into ROOT, uncompressed.
copy_modules()
{
	local kernel=$1 root=$2 release module file target
	shift 2
	release=$(<"$kernel/release")
	for module; do
		modprobe -S "$release" -d "$kernel" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
		target=$root/${file#"$kernel/"}
		target=${target%.xz}
		mkdir -p "${target%/*}"
		case $file in
		*.xz) xz -dc "$file" >"$target" ;;
		*) cp "$file" "$target" ;;
		esac
	done
	mkdir -p "$root/lib/modules/$release"
	cp "$kernel/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} "$root/lib/modules/$release/"
	depmod -b "$root" "$release"
}
