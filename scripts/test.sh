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

if $cargo nextest --version >/dev/null 2>&1; then
	$cargo test --locked --doc --quiet
	$cargo nextest run --locked --no-fail-fast "${chosen[@]}"
elif [ "$mode" = quick ]; then
	$cargo test --locked --doc --quiet
	$cargo test --locked --no-fail-fast "${chosen[@]}"
else
	$cargo test --locked --no-fail-fast
fi
