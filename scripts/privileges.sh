#!/usr/bin/env bash
# Says which privilege the lab lacks on this machine, or nothing. Tries each one in a namespace of
# its own that ends with the attempt.
set -euo pipefail

failed=no
lacks() {
	failed=yes
	printf 'privileges: %s\n' "$1" >&2
	printf '            %s\n' "$2" >&2
}

if [ "$(id -u)" != 0 ]; then
	lacks "not root: a lab makes namespaces, mounts and network interfaces" \
		"run it as root, or in a container with --privileged"
	exit 1
fi
if ! [ -c /dev/net/tun ]; then
	lacks "there is no /dev/net/tun, so no userspace tunnel can run" \
		"modprobe tun; in a container add --device /dev/net/tun"
elif ! (: <>/dev/net/tun) 2>/dev/null; then
	lacks "/dev/net/tun cannot be opened" "in a container add --device /dev/net/tun"
fi
if ! unshare --net --mount --pid --uts --ipc --cgroup --fork true 2>/dev/null; then
	lacks "namespaces cannot be made" "in a container add --privileged, or --cap-add SYS_ADMIN,NET_ADMIN"
elif ! unshare --net sh -c 'ip link add name v0 type veth peer name v1 && ip link set v0 up' 2>/dev/null; then
	lacks "veth pairs cannot be made" "in a container add --cap-add NET_ADMIN; the kernel needs veth"
elif ! unshare --net nft add table inet wgfleet 2>/dev/null; then
	lacks "nftables does not work" "in a container add --cap-add NET_ADMIN; the kernel needs nf_tables"
fi
# shellcheck disable=SC2016 # the inner shell expands it
if ! unshare --mount sh -c 'mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w &&
	mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w none /mnt' 2>/dev/null; then
	lacks "an overlay of / cannot be mounted" "in a container add --cap-add SYS_ADMIN; the kernel needs overlayfs"
fi
[ $failed = no ]
