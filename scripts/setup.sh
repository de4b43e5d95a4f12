#!/usr/bin/env bash
# Installs what wgfleet's build, demo and tests run, where it is missing: programs from Debian or
# Ubuntu packages, and Rust in the version that rust-toolchain.toml names.
#
#   scripts/setup.sh build|demo|test|bench|kernel|lint
#
# It says what it installs, starts no service and changes nothing where nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

purpose=${1:-test}
folders="/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin /lib/systemd /usr/lib/systemd /usr/lib/qemu /usr/libexec"

# Package lists may not be there yet, so what differs is known by the system's name.
# shellcheck source=/dev/null
system=$(. /etc/os-release 2>/dev/null; echo "${ID:-}-${VERSION_ID:-}")

# A program and the Debian package that has it, for each purpose; the later ones include the earlier.
build="gcc=gcc"
demo="ip=iproute2 tc=iproute2 ssh=openssh-client ssh-keygen=openssh-client sshd=openssh-server
	wg=wireguard-tools wg-quick=wireguard-tools nft=nftables ping=iputils-ping
	modprobe=kmod ps=procps unshare=util-linux nsenter=util-linux"
tests="wireguard-go=wireguard-go age=age age-keygen=age sudo=sudo doas=opendoas
	busybox=busybox tcsh=tcsh fish=fish zsh=zsh git=git setsid=util-linux script=bsdutils systemd=systemd systemctl=systemd dbus-daemon=dbus
	chromium-headless-shell=chromium-headless-shell zbarimg=zbar-tools named-checkzone=bind9-utils"
kernel="qemu-system-x86_64=qemu-system-x86 virtiofsd=virtiofsd cpio=cpio depmod=kmod"
bench="iperf3=iperf3"
lint="shellcheck=shellcheck"

case $system in
ubuntu-*) # browsers are snaps there, which no package brings
	tests=${tests/chromium-headless-shell=chromium-headless-shell/}
	if [ "$purpose" = test ] && ! command -v chromium google-chrome >/dev/null; then
		echo "setup: tests/html needs a Chromium or Google Chrome in /usr/bin: install one by hand" >&2
	fi
	;;
debian-12) kernel=${kernel/=virtiofsd/=qemu-system-common} ;;                # a part of qemu until version 8
esac

case $purpose in
build) wanted=$build ;;
demo) wanted="$build $demo" ;;
test) wanted="$build $demo $tests" ;;
kernel) wanted="$build $demo $tests $kernel" ;;
bench) wanted="$build $demo $tests $bench" ;;
lint) wanted="$build $lint" ;;
*)
	echo "usage: scripts/setup.sh build|demo|test|bench|kernel|lint" >&2
	exit 64
	;;
esac

has() {
	local folder
	for folder in $folders; do
		[ ! -x "$folder/$1" ] || return 0
	done
	return 1
}

# Every build is static, so the C library's archive has to be there too.
has_static_libc() {
	local archive
	archive=$(gcc -print-file-name=libc.a 2>/dev/null) && [ -e "$archive" ]
}

# ------------------------------------------------------------------------------------------- Rust
rust=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)

# Whether a version is at least another: 1.95.0 and 1.96 are at least 1.95.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# Whether rustup has what rust-toolchain.toml names, or was told to use another.
has_toolchain() {
	[ -n "${RUSTUP_TOOLCHAIN:-}" ] || [[ "$(rustup toolchain list 2>/dev/null)" =~ (^|$'\n')"$rust"(-|$'\n'|$) ]]
}

# Says how Rust is installed where this script cannot do it, and ends.
by_hand() {
	cat >&2 <<-TEXT
		setup: $1
		setup: run this, then try again:
		  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain $rust
	TEXT
	exit 1
}

programs=""
packages=""
toolchain=no
if command -v rustup >/dev/null; then
	has_toolchain || toolchain=yes
elif command -v cargo >/dev/null; then
	have=$(cargo --version | cut -d ' ' -f 2)
	at_least "$have" "${rust%.*}" || by_hand "wgfleet is built with Rust $rust, and this cargo is $have"
else
	case $system in
	debian-1[0-2] | ubuntu-1* | ubuntu-2[0-3]*) # rustup is no package of these
		by_hand "wgfleet is built with Rust $rust, which is not there" ;;
	debian-* | ubuntu-*)
		programs=" rustup"
		packages=" rustup"
		toolchain=yes
		;;
	*) by_hand "wgfleet is built with Rust $rust, which is not there" ;;
	esac
fi
# Whoever downloads crates or Rust checks certificates.
if ! [ -e /etc/ssl/certs/ca-certificates.crt ] && command -v apt-get >/dev/null; then
	programs="$programs certificates"
	packages="$packages ca-certificates"
fi

# --------------------------------------------------------------------------------------- programs
for pair in $wanted; do
	if ! has "${pair%%=*}"; then
		programs="$programs ${pair%%=*}"
		packages="$packages ${pair#*=}"
	fi
done
if ! has_static_libc; then
	programs="$programs libc.a"
	packages="$packages libc6-dev"
fi
install_packages() {
	# shellcheck disable=SC2086 # one word for each package
	packages=$(printf '%s\n' $packages | sort -u | tr '\n' ' ')

	echo "setup: missing:$programs"
	if ! command -v apt-get >/dev/null; then
		echo "setup: this is neither Debian nor Ubuntu: install these programs by hand, then try again" >&2
		exit 1
	fi
	if [ "$(id -u)" != 0 ]; then
		echo "setup: as root, run: apt-get install --no-install-recommends $packages" >&2
		exit 1
	fi

	# While this file is there, installing a package starts none of its services.
	guard=/usr/sbin/policy-rc.d
	guarded=no
	remove_guard() {
		[ "$guarded" = no ] || rm -f "$guard"
	}
	trap remove_guard EXIT
	if [ ! -e "$guard" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$guard"
		chmod 755 "$guard"
		guarded=yes
	fi
	had_sshd=no
	! has sshd || had_sshd=yes

	echo "setup: apt-get install --no-install-recommends $packages"
	export DEBIAN_FRONTEND=noninteractive
	log=$(mktemp)
	install() {
		# shellcheck disable=SC2086 # one word for each package
		apt-get install -y -q --no-install-recommends $packages </dev/null >"$log" 2>&1
	}
	# Package lists are fetched only where those that are there do not do.
	if ! install && ! { apt-get update -q </dev/null >"$log" 2>&1 && install; }; then
		tail -n 30 "$log" >&2
		rm -f "$log"
		echo "setup: apt-get has failed; on Ubuntu these packages need the universe component" >&2
		exit 1
	fi
	rm -f "$log"
	# The lab starts sshd for its own hosts; this machine did not ask for one at its next boot.
	if [ $had_sshd = no ] && has sshd && has systemctl; then
		systemctl -q disable ssh.service ssh.socket 2>/dev/null || :
	fi

	for program in $programs; do
		case $program in
		libc.a | certificates) ;;
		*)
			if ! has "$program"; then
				echo "setup: $program is still missing" >&2
				exit 1
			fi
			;;
		esac
	done
}

[ -z "$packages" ] || install_packages
if [ $toolchain = yes ] && ! has_toolchain; then
	echo "setup: rustup toolchain install $rust"
	if ! rustup toolchain install "$rust" --profile minimal --component clippy,rustfmt; then
		echo "setup: rustup could not install Rust $rust: see above, then try again" >&2
		exit 1
	fi
fi
[ -z "$packages" ] && [ $toolchain = no ] || echo "setup: done"
