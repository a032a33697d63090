#!/bin/sh
# Writes constraints.txt: one version for every package any extra of pyproject.toml can pull in,
# for every platform and Python the project supports. No index, host or path gets into it.
set -eu
cd "$(dirname "$0")/.."

out=$(mktemp)
trap 'rm -f "$out"' EXIT
.venv/bin/uv pip compile pyproject.toml --quiet --all-extras --universal --upgrade \
    --no-header --no-annotate --no-emit-index-url --output-file "$out"
{
    echo "# One version of every package, for all extras. Made by \`make lock\`; do not edit."
    cat "$out"
} > constraints.txt
echo "constraints.txt: $(grep -c == constraints.txt) versions"
