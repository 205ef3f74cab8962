#!/bin/sh
# Installs what generates the Python and the TypeScript bindings of wit/ for the tests: a virtual environment and a
# node_modules, both under target/wit, both pinned here. Does nothing where they are up to date.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../target/wit}
mkdir -p "$out/node"

say() { echo "wit bindings: $*" >&2; }
need() { command -v "$1" >/dev/null || { say "$1 is missing; install $2"; exit 1; }; }

# A virtual environment names its own place: it has to be made anew where the checkout was moved.
if ! cmp -s "$here/requirements.txt" "$out/venv/installed.txt" ||
    ! "$out/venv/bin/componentize-py" --version >/dev/null 2>&1; then
    need python3 "Python 3.10 or later with its venv module"
    say "installing componentize-py into $out/venv"
    rm -rf "$out/venv"
    python3 -m venv "$out/venv"
    "$out/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$out/venv/installed.txt"
fi

if ! cmp -s "$here/package-lock.json" "$out/node/installed.json"; then
    need npm "Node.js 20 or later with npm"
    say "installing jco and typescript into $out/node"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$out/node/"
    # Not `npm ci`: it refuses a lock file that lacks optional packages of other platforms, and some of jco's were
    # never published. `install` takes the versions and digests of the lock file all the same.
    (cd "$out/node" && npm install --loglevel=error --no-audit --no-fund --ignore-scripts >&2)
    cp "$here/package-lock.json" "$out/node/installed.json"
fi
