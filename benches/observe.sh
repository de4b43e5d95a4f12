#!/usr/bin/env bash
# CPU time that one observation costs a host which has an interface of two peers: user and system time of the
# host's script and all that it starts, without the login. Needs root and wireguard-go.
#
#   make bench-observe
#   benches/observe.sh [TIMES] [REVISION]     beside the script of another revision, in alternating rounds
set -euo pipefail

times=${1:-40}
rounds=4
tree=$(cd "$(dirname "$0")/.." && pwd)

if [ "${INSIDE:-}" = "" ]; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	put() { # NAME COMMAND WORDS: the part of the script that observes, as `HOST_LOOKS` puts it together
		local name=$1
		shift
		for part in head armed helper observe show verbs; do
			"$@" "src/remote/host/$part.sh" 2>/dev/null || [ $part = show ]
		done >"$work/$name"
	}
	cd "$tree"
	put now cat
	if [ $# -gt 1 ]; then
		revision=$2
		# shellcheck disable=SC2317 # called through put
		show() { git show "$revision:$1"; }
		put "$revision" show
	fi
	INSIDE=$work unshare --mount --net --pid --fork --mount-proc --kill-child "$tree/benches/observe.sh" "$times"
	exit
fi

work=$INSIDE
for folder in /run /etc/wireguard /var/lib; do mount -t tmpfs none $folder; done
mkdir -p /run/wireguard /var/lib/wgfleet
umask 077
ip link set lo up
cat >/etc/wireguard/wg0.conf <<END
# Managed by wgfleet
[Interface]
PrivateKey = $(wg genkey)
ListenPort = 51820
[Peer]
PublicKey = $(wg genkey | wg pubkey)
PresharedKey = $(wg genpsk)
AllowedIPs = 10.9.0.2/32, 192.168.50.0/24
Endpoint = 127.0.0.1:51901
[Peer]
PublicKey = $(wg genkey | wg pubkey)
PresharedKey = $(wg genpsk)
AllowedIPs = 10.9.0.3/32
PersistentKeepalive = 25
END
wireguard-go wg0 >/dev/null 2>&1
wg setconf wg0 /etc/wireguard/wg0.conf
ip addr add 10.9.0.1/24 dev wg0
ip link set wg0 mtu 1420 up
ip route add 192.168.50.0/24 dev wg0
printf '{}\n' >/var/lib/wgfleet/bench.json
printf '%064d\ninterface wg0\ntext 1048576\n' 0 >"$work/.question"

TIMEFORMAT='%3U %3S'
run() { # TEXT TIMES
	local n
	for ((n = 0; n < $2; n++)); do sh -c "$1" wgfleet "$1" observe <"$work/.question" >"$work/.answer"; done
	[ "$(tail -n 1 "$work/.answer")" = end ]
}
for ((round = 0; round < rounds; round++)); do
	for file in "$work"/*; do
		text=$(cat "$file")
		{ time run "$text" $((times / rounds)); } 2>>"$work/.${file##*/}.times"
	done
	{ time for ((n = 0; n < times / rounds; n++)); do /bin/true; done; } 2>>"$work/.true.times"
done
printf 'CPU of one observation, mean of %d in %d alternating rounds\n' $((times / rounds * rounds)) $rounds
for file in "$work"/.*.times; do
	name=${file##*/.} name=${name%.times}
	awk -v name="$name" -v times=$((times / rounds * rounds)) '
		{ sum += $1 + $2 } END { printf "  %-12s %5.1f ms\n", name, sum * 1000 / times }' "$file"
done
