#!/usr/bin/env bash
# Everything that is judged without running it: format, clippy, documentation, dependencies, shell.
#
# The steps share what they compile: clippy and rustdoc both need the dependencies' metadata only.
set -euo pipefail

cargo=${CARGO:-cargo}
deny_version=0.20.2

step() { printf '\n== %s\n' "$*"; }

step cargo fmt
$cargo fmt --check

step shellcheck
shellcheck .ci/run scripts/*.sh
# The host's side has no first line that names its shell, and no end: it is POSIX sh.
# It is one text when it runs, so it is read as one; and so is the part of it that looks.
host=src/remote/host
cat $host/{head,armed,agent,observe,operations,snapshot,change,verbs}.sh | shellcheck --shell=sh -
find src templates \( -name '*.sh' -o -name '*.bash' \) ! -path 'src/remote/host/*' \
	-exec shellcheck --shell=sh {} +

step cargo metadata of the fuzz targets
# They are a workspace of their own, whose lock is forgotten easily.
$cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null

step cargo clippy
$cargo clippy --all-targets --locked -- -D warnings

step cargo doc
RUSTDOCFLAGS="${RUSTDOCFLAGS:-} -D warnings" $cargo doc --no-deps --locked

step cargo deny
tools=$(realpath -m "${CARGO_TARGET_DIR:-target}/tools")
deny=$tools/bin/cargo-deny
if command -v cargo-deny >/dev/null; then
	deny=$(command -v cargo-deny)
elif ! [ -x "$deny" ]; then
	# It checks a few hundred packages for a second: a fast build matters more than fast code.
	# From another folder, where the project's own build settings do not count.
	echo "building cargo-deny $deny_version into $tools"
	(
		cd /
		CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=false \
			CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
			$cargo install --quiet --locked --no-default-features --version $deny_version \
			--root "$tools" --target-dir "$tools/build" cargo-deny
	)
	rm -rf "$tools/build"
fi
# Advisories are left out: see deny.toml.
"$deny" --locked check bans licenses sources
