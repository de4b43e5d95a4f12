#!/usr/bin/env bash
# Judges the dependencies: deny.toml says how.
#
#   scripts/deny.sh CHECK...      bans, licenses, sources; advisories, which needs the network
#   scripts/deny.sh               builds cargo-deny below target/tools where it is missing, and no more
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
version=0.20.2
tools=$(realpath -m "${CARGO_TARGET_DIR:-target}/tools")

deny=$tools/bin/cargo-deny
if command -v cargo-deny >/dev/null; then
	deny=$(command -v cargo-deny)
elif ! [ -x "$deny" ]; then
	# It checks a few hundred packages for a second: a fast build matters more than fast code.
	# From another folder, where the project's own build settings do not count.
	echo "building cargo-deny $version into $tools"
	(
		cd /
		CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_DEBUG=false \
			CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
			$cargo install --quiet --locked --no-default-features --version $version \
			--root "$tools" --target-dir "$tools/build" cargo-deny
	)
	rm -rf "$tools/build"
fi
[ $# = 0 ] || "$deny" --locked check "$@"
