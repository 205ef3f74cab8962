#!/bin/sh
# Puts a real Prometheus and its node exporter, as Debian builds them, into target/prometheus for the tests. Nothing is
# installed: the packages are unpacked there. Does nothing where they are.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../target/prometheus}
packages="prometheus prometheus-node-exporter"
if [ -x "$out/usr/bin/prometheus" ] && [ -x "$out/usr/bin/prometheus-node-exporter" ]; then
    exit 0
fi

say() { echo "prometheus: $*" >&2; }
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
    say "apt-get and dpkg-deb are missing: the tests take Prometheus from Debian's packages; elsewhere put prometheus" \
        "and prometheus-node-exporter into $out/usr/bin"
    exit 1
}
mkdir -p "$out"
say "unpacking $packages into $out"
fetch() { (cd "$out" && apt-get download -qq -o APT::Sandbox::User=root $packages); }
# A new machine has no lists of packages, or old ones.
fetch 2>/dev/null || { apt-get update -qq && fetch; } || { say "apt-get cannot download $packages; run apt-get update as root"; exit 1; }
for package in "$out"/*.deb; do
    dpkg-deb --extract "$package" "$out"
    rm "$package"
done
