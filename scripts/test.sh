#!/usr/bin/env bash
# Runs the tests with nextest where it is installed, otherwise with cargo's own runner. The last
# lines are the runner's.
#
#   scripts/test.sh all      everything; needs root
#   scripts/test.sh quick    what needs no root
set -euo pipefail

cargo=${CARGO:-cargo}
mode=${1:-all}

# Test programs that build namespaces say so in their first lines.
needs_root() {
	case $1 in
	lab* | tunnel*) return 0 ;;
	*) head -n 20 "$2" | sed 's,^//! *,,' | tr '\n' ' ' | grep -q 'Needs root' ;;
	esac
}

chosen=()
if [ "$mode" = quick ]; then
	chosen=(--lib --bins)
	for file in tests/*.rs tests/*/main.rs; do
		[ -e "$file" ] || continue
		name=${file#tests/}
		name=${name%/main.rs}
		name=${name%.rs}
		needs_root "$name" "$file" || chosen+=(--test "$name")
	done
fi

# The seconds that each test program took, beside its budget in CONTRIBUTING.md, from a report of
# nextest in the form of JUnit.
budgets() {
	awk -F '|' '
		FNR == NR { if ($2 ~ /^ `/) { gsub(/^ `|` $/, "", $2); budget[$2] = $3 + 0 }; next }
		/<testcase / {
			match($0, / classname="[^"]*"/); name = substr($0, RSTART + 12, RLENGTH - 13)
			sub(/^wgfleet::/, "", name); sub(/^wgfleet$/, "lib", name)
			match($0, / time="[^"]*"/); took[name] += substr($0, RSTART + 7, RLENGTH - 8)
		}
		END {
			for (name in took) {
				most = name in budget ? budget[name] : budget["any other"]
				over = took[name] > most ? "  over budget" : ""
				printf "%-24s %7.1f s of %5d s%s\n", name, took[name], most, over | "sort -k 2 -r -n"
			}
		}' <(sed -n '/^<!-- budgets/,/^<!-- end/p' CONTRIBUTING.md) "$1"
}

# Everything, twice as many threads as cores: see .config/nextest.toml. The programs that tests speak
# with are built beside the tests. The lines about budgets come before the runner's summary, which
# ends the output.
all_with_nextest() {
	local result=0 log report peers
	report=${CARGO_TARGET_DIR:-target}/nextest/all/junit.xml
	rm -f "$report"
	scripts/peers.sh &
	peers=$!
	$cargo test --locked --doc --quiet
	$cargo nextest run --locked --no-run
	wait "$peers"
	log=$(mktemp)
	$cargo nextest run --locked --profile all --test-threads $((2 * $(nproc))) --no-fail-fast 2>&1 |
		tee "$log" || result=$?
	if [ -e "$report" ]; then
		printf '\nTime of each test program (CONTRIBUTING.md has the budgets):\n'
		budgets "$report"
		printf '\n'
		sed -n '/^ *Summary \[/,$p' "$log"
	fi
	rm -f "$log"
	return $result
}

if ! $cargo nextest --version >/dev/null 2>&1; then
	[ "$mode" != all ] || scripts/peers.sh
	[ "$mode" != quick ] || $cargo test --locked --doc --quiet
	$cargo test --locked --no-fail-fast "${chosen[@]}"
elif [ "$mode" = quick ]; then
	$cargo test --locked --doc --quiet
	$cargo nextest run --locked --no-fail-fast "${chosen[@]}"
else
	all_with_nextest
fi
