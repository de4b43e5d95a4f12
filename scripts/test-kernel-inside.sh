#!/bin/sh
# The first process of the emulated machine of scripts/test-kernel.sh: raises what a system has,
# runs the tests and switches off.
repo=$1 binary=$2 system=$3 version=$4 filter=${5:-}
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/tmp LANG=C.UTF-8
mkdir -p /dev/pts /dev/shm /dev/net /lib/modules
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t cgroup2 none /sys/fs/cgroup
ln -sfn "$system/lib/modules/$version" "/lib/modules/$version"
[ -c /dev/net/tun ] || mknod /dev/net/tun c 10 200
for module in wireguard tun veth nf_tables nft_masq nft_chain_nat nft_ct bridge; do
	modprobe $module || echo "test-kernel: no module $module"
done
ip link set lo up
cd "$repo" || exit
"$binary" --test-threads 1 ${filter:+"$filter"}
echo "test-kernel: exit $?"
# Outside systemd nothing else ends the machine.
sync
echo o >/proc/sysrq-trigger
sleep 10
