#!/usr/bin/env bash
# Runs tests/kernel in an emulated machine whose kernel has WireGuard: Debian's cloud kernel under
# qemu, with this system's files below a layer in memory, so nothing that it does is kept.
#
#   scripts/test-kernel.sh [FILTER]
#
# Needs root (the machine reads this system's files) and Debian's package archive. With ACCEL=kvm it
# is many times faster; that is not the default because KVM inside a virtual machine often hangs.
set -euo pipefail
cd "$(dirname "$0")/.."
repo=$PWD
cargo=${CARGO:-cargo}
filter=${1:-}

[ "$(id -u)" = 0 ] || { echo "test-kernel: needs root" >&2; exit 1; }
case $repo/ in
/tmp/* | /run/*) echo "test-kernel: the machine has its own /tmp and /run: put the repository somewhere else" >&2; exit 1 ;;
esac
work=${CARGO_TARGET_DIR:-$repo/target}/kernel
mkdir -p "$work"
work=$(cd "$work" && pwd)

# ------------------------------------------------------------------------------ what it is made of
package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }')
if [ -z "$package" ]; then
	echo "test-kernel: apt has no linux-image-cloud-amd64: this is for Debian on amd64; run apt-get update?" >&2
	exit 1
fi
if ! [ -e "$work/$package" ]; then
	echo "test-kernel: fetching $package"
	rm -rf "$work/new" && mkdir "$work/new"
	(cd "$work/new" && apt-get -q -o APT::Sandbox::User=root download "$package" >/dev/null)
	dpkg-deb -x "$work"/new/*.deb "$work/new/root"
	rm "$work"/new/*.deb
	for modules in "$work"/new/root/lib/modules/*; do
		depmod -b "$work/new/root" "${modules##*/}"
	done
	mv "$work/new" "$work/$package"
fi
system=$work/$package/root
version=$(cd "$system/lib/modules" && echo *)

binary=$($cargo test --locked --features kernel-tests --test kernel --no-run --message-format=json |
	sed -n 's/.*"executable":"\([^"]*\/kernel-[^"]*\)".*/\1/p' | tail -n 1)
[ -n "$binary" ] || { echo "test-kernel: cargo made no test program" >&2; exit 1; }

# ---------------------------------------------------------------------------------- the first files
initial=$work/initial
rm -rf "$initial"
mkdir -p "$initial"/{bin,lib64,m,proc,sys,dev,low,layer,new}
busybox=$(command -v busybox)
cp "$busybox" "$initial/bin/busybox"
# What it is linked with, under the names by which it asks.
{ ldd "$busybox" 2>/dev/null || :; } | grep -o '/[^ ]*' | while read -r library; do
	install -D "$(readlink -f "$library")" "$initial$library"
done
order=
for name in virtio_pci fuse virtiofs overlay; do
	for path in $(modprobe -d "$system" -S "$version" --show-depends $name | awk '$1 == "insmod" { print $2 }'); do
		cp -n "$path" "$initial/m/"
		order="$order ${path##*/}"
	done
done
cat >"$initial/init" <<-TEXT
	#!/bin/busybox sh
	export PATH=/bin
	/bin/busybox --install -s /bin
	mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
	for m in $order; do insmod /m/\$m 2>/dev/null; done
	mount -t virtiofs -o ro system /low && mount -t tmpfs -o mode=755 layer /layer && mkdir /layer/up /layer/work &&
		mount -t overlay -o lowerdir=/low,upperdir=/layer/up,workdir=/layer/work system /new || poweroff -f
	for folder in proc sys dev; do mount --move /\$folder /new/\$folder; done
	for folder in tmp run; do mount -t tmpfs -o mode=1777 \$folder /new/\$folder; done
	exec switch_root /new /bin/sh $repo/scripts/test-kernel-inside.sh $repo $binary $system $version $filter
TEXT
chmod 755 "$initial/init"
(cd "$initial" && find . | cpio -o -H newc --quiet) >"$work/initial.cpio"

# --------------------------------------------------------------------------------------- the machine
server=
for path in /usr/libexec/virtiofsd /usr/lib/qemu/virtiofsd; do
	[ ! -x $path ] || { server=$path; break; }
done
[ -n "$server" ] || { echo "test-kernel: virtiofsd is missing" >&2; exit 1; }
sockets=$(mktemp -d)
server_pid=
# shellcheck disable=SC2317 # the trap calls it
end() {
	[ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null || :
	rm -rf "$sockets"
}
trap end EXIT
case $server in
*/libexec/*) "$server" --socket-path="$sockets/fs" --shared-dir / --sandbox chroot --readonly >"$work/virtiofsd.log" 2>&1 & ;;
*) "$server" --socket-path="$sockets/fs" -o source=/,sandbox=chroot,cache=always >"$work/virtiofsd.log" 2>&1 & ;;
esac
server_pid=$!
for _ in $(seq 100); do
	[ ! -S "$sockets/fs" ] || break
	sleep 0.1
done

speed=${ACCEL:-tcg}
echo "test-kernel: $version, $speed"
cpu=max
[ "$speed" = tcg ] || cpu=host
qemu-system-x86_64 -accel "$speed" -cpu $cpu -smp 2 -m 2048 -nodefaults -display none -no-reboot -serial stdio \
	-object memory-backend-memfd,id=memory,size=2048M,share=on -numa node,memdev=memory \
	-chardev socket,id=fs,path="$sockets/fs" -device vhost-user-fs-pci,chardev=fs,tag=system \
	-kernel "$system/boot/vmlinuz-$version" -initrd "$work/initial.cpio" \
	-append "console=ttyS0 quiet panic=-1 no_timer_check rdinit=/init" </dev/null | sed -u 's/\r//g' | tee "$work/console.log"
# The machine's last word is the exit code of the tests.
code=$(sed -n 's/^test-kernel: exit \([0-9]*\)$/\1/p' "$work/console.log" | tail -n 1)
[ -n "$code" ] || { echo "test-kernel: the machine ended without a result; see $work/console.log" >&2; exit 1; }
exit "$code"
