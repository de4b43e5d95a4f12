#!/usr/bin/env bash
# Installs the other userspace implementations that tests/tunnel/interop.rs speaks with, from
# crates.io, below target/tools/peers. It does nothing where they are there.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
peers=$(realpath -m "${CARGO_TARGET_DIR:-target}/tools/peers")

for package in gotatun-cli@0.10.2 boringtun-cli@0.7.1; do
	program=${package%@*}
	[ "$program" != gotatun-cli ] || program=gotatun
	[ ! -x "$peers/bin/$program" ] || continue
	echo "building $package into $peers"
	# They carry pings: a fast build matters more than fast code. From another folder, where the
	# project's own build settings do not count.
	(
		cd /
		CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=false \
			$cargo install --quiet --locked --debug --root "$peers" --target-dir "$peers/build" "$package"
	)
done
rm -rf "$peers/build"
