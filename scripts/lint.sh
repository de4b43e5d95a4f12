#!/usr/bin/env bash
# Everything that is judged without running it: format, clippy, documentation, fuzz targets,
# dependencies, shell.
#
# The steps share what they compile: clippy, rustdoc and the fuzz targets all need the dependencies'
# metadata only. cargo-deny is built beside them, where it is missing: they leave a core idle often.
set -euo pipefail

cargo=${CARGO:-cargo}

step() { printf '\n== %s\n' "$*"; }

step cargo fmt
$cargo fmt --check

step shellcheck
shellcheck .ci/run scripts/*.sh
# The host's side has no first line that names its shell, and no end: it is POSIX sh.
# It is one text when it runs, so it is read as one; and so is the part of it that looks.
host=src/remote/host
cat $host/{head,armed,helper,observe,show,push,operations,snapshot,lock,change,group,probe,adopt,verbs}.sh | shellcheck --shell=sh -
find src templates \( -name '*.sh' -o -name '*.bash' \) ! -path 'src/remote/host/*' \
	-exec shellcheck --shell=sh {} +

scripts/deny.sh >/dev/null 2>&1 &
building=$!

step cargo clippy
$cargo clippy --all-targets --locked -- -D warnings

step cargo doc
RUSTDOCFLAGS="${RUSTDOCFLAGS:-} -D warnings" $cargo doc --no-deps --locked

step cargo check of the fuzz targets
# They are a workspace of their own, whose lock is forgotten easily. Nothing is linked here, so
# libFuzzer is not compiled: the variable names where it would be.
CUSTOM_LIBFUZZER_PATH=/usr/lib/libfuzzer.a \
	$cargo check --locked --manifest-path fuzz/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}"

step cargo deny
wait "$building" || scripts/deny.sh
# Advisories are left out: see deny.toml.
scripts/deny.sh bans licenses sources
