# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# What contrib/quickstart, contrib/run-tests and .ci/run have in common: asking
# for packages, building out of tree, and stopping a process in bounded time.
# To be sourced by bash.  Sets `top`, the absolute path of the source tree.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # nginx, for users who are not root

# What a build needs, as need_packages() wants it.  prove and stdio.h stand for
# packages that are incomplete without them.
# shellcheck disable=SC2034 # for those that source this
BUILD_NEEDS=(gcc /usr/include/stdio.h=libc6-dev make autoconf automake prove=perl)

# What the tests need: a unit test library, front ends, what they run.
# shellcheck disable=SC2034
TEST_NEEDS=(/usr/include/check.h=check nginx apache2=apache2-bin lighttpd caddy haproxy
	h2o cgi-fcgi=libfcgi-bin uwsgi-core spawn-fcgi multiwatch ip=iproute2 runsv=runit
	systemd-analyze=systemd promtool=prometheus chromium shellcheck git curl
	/usr/bin/python3=python3)

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# ---- packages ----------------------------------------------------------------

# The units that systemd starts at boot, if it is there.
enabled_units()
{
	systemctl --root=/ list-unit-files --state=enabled --no-legend 2>/dev/null |
		cut -d' ' -f1 | sort
}

# Installs Debian packages.  Services stay down, now and at the next boot: a user
# who tries a bridge did not ask for a web server on port 80.
install_packages() (
	export DEBIAN_FRONTEND=noninteractive
	policy=/usr/sbin/policy-rc.d
	before=$(enabled_units)

	if [ ! -e $policy ]; then
		trap 'rm -f $policy' EXIT
		printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
	fi
	{
		apt-get update && apt-get install -y --no-install-recommends "$@"
	} </dev/null || return
	# without systemd there was nothing before: what comes with it is not ours
	[ -z "$before" ] || comm -13 <(echo "$before") <(enabled_units) |
		xargs -r systemctl disable || true
)

# need_packages NAME[=PACKAGE]...: makes sure that each NAME is there, a command
# or (with a slash in front) a file; PACKAGE, by default NAME, brings it.
need_packages()
{
	local want name log missing=()

	for want; do
		name=${want%%=*}
		case $name in
		/*) [ -e "$name" ] ;;
		*) command -v "$name" >/dev/null ;;
		esac || missing+=("${want#*=}")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	command -v apt-get >/dev/null ||
		die "missing, and there is no apt-get to install them: ${missing[*]}"
	[ "$(id -u)" -eq 0 ] ||
		die "packages are missing.  This installs them as root, without those that are only
recommended, and starts no service:
    bash -c '. \"$top/contrib/lib.sh\" && install_packages ${missing[*]}'"
	printf 'installing %s\n' "${missing[*]}"
	log=$(mktemp)
	install_packages "${missing[@]}" >"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		rm -f "$log"
		die "cannot install ${missing[*]}"
	}
	rm -f "$log"
}

# ---- building ----------------------------------------------------------------

# run_logged LOG COMMAND...: output goes to LOG; its end is shown on failure.
run_logged()
{
	local log=$1 status=0

	shift
	"$@" >"$log" 2>&1 </dev/null || status=$?
	[ $status -eq 0 ] || {
		tail -n 40 "$log" >&2
		printf '%s: failed: %s (all of it in %s)\n' "${0##*/}" "$*" "$(realpath "$log")" >&2
	}
	return $status
}

# True when configure has to be made, or made again.
needs_autoreconf()
{
	[ ! -x "$top/configure" ] || [ ! -e "$top/build-aux/tap-driver.sh" ] ||
		[ ! -e "$top/Makefile.in" ] ||
		[ "$top/configure.ac" -nt "$top/configure" ] ||
		[ "$top/Makefile.am" -nt "$top/Makefile.in" ]
}

# find_source DIR: sets `source`, the tree to build in DIR from: `top`, or a clean copy of
# it in DIR if it has been configured in place, which another build cannot stand.
find_source()
{
	source=$top
	[ -e "$top/config.status" ] || return 0
	source=$1/source
	rm -rf "$source" && mkdir -p "$source" || return
	# build-aux belongs to it, other build folders do not
	tar -c -C "$top" --exclude=./.git --exclude=./build --exclude='./build-[!a]*' \
		--exclude="./${1#"$top"/}" . | tar -x -C "$source" || return
	run_logged "$1/distclean.log" make -C "$source" distclean
}

# configure_tree DIR [CONFIGURE-ARGUMENT]...: makes DIR a configured build folder;
# one that was configured otherwise is emptied first.  CC, CFLAGS and LDFLAGS of the
# environment count as arguments.
configure_tree()
{
	local dir=$1 wanted source

	shift
	wanted="$* CC=${CC-} CFLAGS=${CFLAGS-} LDFLAGS=${LDFLAGS-}"
	if needs_autoreconf; then
		(cd "$top" && run_logged "$dir/autoreconf.log" autoreconf -fi) || return
	fi
	find_source "$dir" || return
	[ "$source" = "$top" ] || wanted="$wanted source=$source"
	[ -e "$dir/Makefile" ] && [ "$(cat "$dir/.wanted" 2>/dev/null)" = "$wanted" ] &&
		return
	if [ -e "$dir/Makefile" ]; then
		make -C "$dir" distclean >/dev/null 2>&1 </dev/null || true
	fi
	(cd "$dir" && run_logged configure.log "$source/configure" "$@") || return
	printf '%s\n' "$wanted" >"$dir/.wanted"
}

# build_tree DIR [CONFIGURE-ARGUMENT]...: configures DIR and builds the programs there.
build_tree()
{
	local dir=$1

	printf 'building in %s\n' "$dir"
	mkdir -p "$dir" || return
	configure_tree "$@" && run_logged "$dir/make.log" make -C "$dir" -j"$(nproc)"
}

# ---- processes ---------------------------------------------------------------

# wait_until SECONDS COMMAND...: tries COMMAND ten times a second until it succeeds.
wait_until()
{
	local tries=$(($1 * 10))

	shift
	until "$@"; do
		[ $((tries -= 1)) -gt 0 ] || return 1
		sleep 0.1
	done
}

is_gone()
{
	! kill -0 "$1" 2>/dev/null
}

# stop_process PID: asks, waits, insists.  Returns the exit status of our child PID.
stop_process()
{
	kill -TERM "$1" 2>/dev/null
	wait_until 10 is_gone "$1" || kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}
