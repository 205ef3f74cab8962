#!/bin/sh
# Installs what generates the bindings of wit/ in other languages and makes plugins of them, for the tests and
# `make examples`: a virtual environment, a node_modules and a clang for WebAssembly, all under target/wit, all pinned here.
# Does nothing where they are up to date.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../target/wit}
mkdir -p "$out/node"
out=$(cd "$out" && pwd)

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
    say "installing componentize-js, jco and typescript into $out/node"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$out/node/"
    # Not `npm ci`: it refuses a lock file that lacks optional packages of other platforms, and some of jco's were
    # never published. `install` takes the versions and digests of the lock file all the same.
    (cd "$out/node" && npm install --loglevel=error --no-audit --no-fund --ignore-scripts >&2)
    cp "$here/package-lock.json" "$out/node/installed.json"
fi

# Debian's packages, unpacked and not installed; the second line is what the first needs and small machines lack.
packages="clang-16 lld-16 libclang-common-16-dev libclang-rt-16-dev-wasm32 wasi-libc libjsmn-dev \
libclang-cpp16 libllvm16 libz3-4 libedit2 libbsd0 libmd0"
clang=$out/clang
if [ "$(cat "$clang/installed.txt" 2>/dev/null)" != "$packages" ]; then
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
        say "apt-get and dpkg-deb are missing: the example in C is built with Debian's $packages"
        exit 1
    }
    say "unpacking clang and wasi-libc into $clang"
    rm -rf "$clang"
    mkdir -p "$clang/lists/partial"
    fetch() { (cd "$clang" && apt-get download -qq -o APT::Sandbox::User=root "$@" $packages); }
    # A new machine has no lists of packages, or old ones, and not everybody may renew them: lists of our own, then.
    own="-o Dir::State::Lists=$clang/lists -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="
    fetch 2>/dev/null || { apt-get update -qq -o APT::Sandbox::User=root $own && fetch $own; } ||
        { say "apt-get cannot download $packages"; exit 1; }
    for package in "$clang"/*.deb; do
        dpkg-deb --extract "$package" "$clang"
        rm "$package"
    done
    rm -rf "$clang/lists"
    cat >"$clang/wasm-clang" <<'END'
#!/bin/sh
# clang for WebAssembly, as it is where it is installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export PATH="$here/usr/bin:$PATH"
for libraries in "$here"/usr/lib/*-linux-gnu; do export LD_LIBRARY_PATH="$libraries"; done
exec clang-16 --target=wasm32-wasi --sysroot="$here/usr" -idirafter "$here/usr/include" "$@"
END
    chmod +x "$clang/wasm-clang"
    echo "$packages" >"$clang/installed.txt"
fi
