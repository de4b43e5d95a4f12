#!/usr/bin/env bash
# The topology page's drawing as a picture of its own, for README.md: `make docs` calls it.
#
#   scripts/picture.sh WGFLEET FOLDER      prints an SVG of the inventory in FOLDER
#
# It is the page's own drawing with the page's own colours, light or dark as the reader's screen is.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$2"/fleet.yaml "$2"/fleet.lock "$work"
"$1" check --file "$work" --html "$work/page.html" --quiet >/dev/null
lines() { sed -n "$1" "$work/page.html"; }

box=$(lines 's/.*<svg id="map" viewBox="\([^"]*\)".*/\1/p')
printf '<svg xmlns="http://www.w3.org/2000/svg" viewBox="%s" font-family="sans-serif" font-size="12.5">\n<style>\n' "$box"
lines '/^:root {/,/^}/p'
lines '/^@media (prefers-color-scheme: dark)/,/^}/p'
lines '/^\.n0 /p; /^\.fine\|^\.error {/p; /^svg /p; /^\.block/p; /^\.host >/p; /^\.host circle/p; /^\.link/p; /^\.many/p'
printf '</style>\n<rect width="100%%" height="100%%" fill="var(--back)"/>\n'
lines '/^<g id="links">/,/^<g id="way">/p' | sed '$d'
printf '</svg>\n'
