#!/usr/bin/env bash
# Runs the fuzz targets one after the other, and ends with what each has reached.
#
#   scripts/fuzz.sh [SECONDS [TARGET...]]      600 seconds for each of them where nothing is said
#
# It installs cargo-fuzz below target/tools where it is missing. Inputs are kept in
# target/fuzz/corpus, and what breaks a target in target/fuzz/artifacts. Needs a C++ compiler.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
version=0.13.2
seconds=${1:-600}
[ $# = 0 ] || shift
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")

if ! [ -x "$target/tools/bin/cargo-fuzz" ]; then
	echo "fuzz: building cargo-fuzz $version into $target/tools"
	# From another folder, where the project's own build settings do not count.
	(cd / && $cargo install --quiet --locked --debug --version $version --root "$target/tools" \
		--target-dir "$target/tools/build" cargo-fuzz)
	rm -rf "$target/tools/build"
fi
PATH=$target/tools/bin:$PATH
# The sanitizers are there in a stable compiler, too, and have to be asked for.
export RUSTC_BOOTSTRAP=1 CARGO_INCREMENTAL=0

cargo fuzz build --fuzz-dir fuzz --target-dir "$target/fuzz"
mapfile -t names < <(if [ $# = 0 ]; then cargo fuzz list --fuzz-dir fuzz; else printf '%s\n' "$@"; fi)
result=0
for name in "${names[@]}"; do
	corpus=$target/fuzz/corpus/$name log=$target/fuzz/$name.log
	mkdir -p "$corpus" "$target/fuzz/artifacts/$name"
	echo "fuzz: $name, $seconds s"
	if ! nice -n 10 "$target/fuzz/$(rustc --print host-tuple)/release/$name" "$corpus" \
		-max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
		-artifact_prefix="$target/fuzz/artifacts/$name/" >"$log" 2>&1; then
		result=1
		tail -n 30 "$log"
	fi
	# The last line of progress, and how many inputs were tried.
	grep -E '^#[0-9]+' "$log" | tail -n 1
	grep -E 'number_of_executed_units|peak_rss_mb' "$log" || :
done
exit $result
