#!/usr/bin/env bash
# `wgfleet plan` with nothing to do, against a bare `ssh HOST true` to the same hosts with the same
# parallelism: whole processes, in alternating rounds of one run. Needs root.
#
#   make bench-plan
#   WGFLEET=target/…/wgfleet benches/plan.sh [HOSTS] [ROUNDS]
#
# With PYINFRA=/path/to/pyinfra, that reads the same hosts in the same rounds: whether wg0.conf is as
# rendered, and what `wg show wg0 dump` says. wgfleet reads addresses, routes, rules, units and forwarding, too.
set -euo pipefail

wgfleet=${WGFLEET:?name the binary}
hosts=${1:-50}
rounds=${2:-9}
parallel=32
lab=bench-plan-$$
work=$(mktemp -d)
export XDG_CONFIG_HOME=$work/config XDG_STATE_HOME=$work/state

leave() {
	"$wgfleet" lab down --name "$lab" --quiet >/dev/null 2>&1 || :
	rm -rf "$work"
}
trap leave EXIT

mkdir "$work/fleet"
{
	printf 'fleet: bench\nnetworks:\n  mesh: { interface: wg0, prefixes: [10.10.0.0/16], psk: pairwise }\nhosts:\n'
	for ((n = 1; n <= hosts; n++)); do
		printf '  h%d: { endpoint: "198.51.100.%d:51820" }\n' "$n" "$n"
	done
} >"$work/fleet/fleet.yaml"
mkdir -p "$work/.ssh" && : >"$work/.ssh/known_hosts"
cd "$work/fleet"
"$wgfleet" lab up --name "$lab" --quiet >/dev/null
export WGFLEET_SSH_CONFIG=/run/wgfleet-lab/$lab/ssh_config
"$wgfleet" vault init --fleet bench --quiet >/dev/null
"$wgfleet" vault keygen --quiet >/dev/null
"$wgfleet" apply --yes --quiet --parallel 8 >"$work/apply" || { cat "$work/apply" >&2; exit 1; }
"$wgfleet" plan --quiet --detailed-exitcode >/dev/null

if [ -n "${PYINFRA:-}" ]; then
	"$wgfleet" render --output "$work/rendered" --quiet
	# It brings an ssh of its own, which takes no descriptor from a ProxyCommand and knows no
	# HostKeyAlias: so it runs in the network of the lab's controller, and believes all host keys.
	sed '/ProxyCommand\|ProxyUseFdpass\|HostKeyAlias\|KnownHosts/d; s/StrictHostKeyChecking yes/StrictHostKeyChecking no/' \
		"$WGFLEET_SSH_CONFIG" >"$work/ssh_config"
	# Its key exchange is curve25519; OpenSSH's own default costs both ends several times that.
	sed '$a\  KexAlgorithms curve25519-sha256' "$WGFLEET_SSH_CONFIG" >"$work/same_ssh_config"
	export WGFLEET_SSH_CONFIG=$work/same_ssh_config
	cat >"$work/inventory.py" <<-END
		hosts = [(f"h{n}", {"ssh_user": "root", "ssh_config_file": "$work/ssh_config"}) for n in range(1, $hosts + 1)]
	END
	cat >"$work/deploy.py" <<-END
		from pyinfra import host
		from pyinfra.facts.server import Command
		from pyinfra.operations import files
		files.put(src=f"$work/rendered/{host.name}/wg0.conf", dest="/etc/wireguard/wg0.conf", mode="600")
		host.get_fact(Command, "wg show wg0 dump")
	END
fi

# Milliseconds that a command takes.
took() {
	local from=${EPOCHREALTIME/./}
	"$@" >/dev/null 2>&1
	echo $(((${EPOCHREALTIME/./} - from) / 1000))
}

bare() { seq -f h%g 1 "$hosts" | xargs -P $parallel -I {} ssh -F "$WGFLEET_SSH_CONFIG" {} true; }
plan() { "$wgfleet" plan --quiet --parallel $parallel; }
pyinfra() { HOME=$work "$wgfleet" lab exec --name "$lab" controller -- "$PYINFRA" --dry --parallel $parallel "$work/inventory.py" "$work/deploy.py"; }
median() { sort -n "$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

took bare >/dev/null
for ((n = 1; n <= rounds; n++)); do
	took bare >>"$work/bare"
	took plan >>"$work/plan"
	[ -z "${PYINFRA:-}" ] || took pyinfra >>"$work/pyinfra"
done
paste "$work/bare" "$work/plan" | awk '{ print $2 / $1 }' >"$work/ratio"
printf '%d hosts, %d at a time, %d rounds, medians\n' "$hosts" "$parallel" "$rounds"
printf '  ssh HOST true   %6d ms\n' "$(median "$work/bare")"
printf '  wgfleet plan    %6d ms\n' "$(median "$work/plan")"
printf '  ratio           %6.2f\n' "$(median "$work/ratio")"
if [ -n "${PYINFRA:-}" ]; then
	pyinfra >"$work/said" 2>&1 || { cat "$work/said" >&2; exit 1; }
	printf '  pyinfra         %6d ms\n' "$(median "$work/pyinfra")"
fi
