#!/usr/bin/env bash
# Builds the real Kubernetes control plane that the tests and the playground run, from the Go module proxy.
# usage: build.sh DIR    (DIR gets etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubemark, kubectl)
# Nothing is done where DIR already holds what this folder's go.mod asks for.
set -euo pipefail
out=${1:?usage: build.sh DIR}
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")"
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
stamp=$(cat go.mod go.sum build.sh | sha256sum | cut -d' ' -f1)
if [ "$(cat "$out/.stamp" 2>/dev/null)" = "$stamp" ]; then
  exit 0
fi
minor=${version#v1.}; minor=${minor%%.*}
# The same flags for all, so that they share the build cache. Kubernetes refuses to run without a version of its own.
x=k8s.io/component-base/version
flags="-s -w -X $x.gitVersion=$version -X $x.gitMajor=1 -X $x.gitMinor=$minor -X $x.gitTreeState=clean"
n=0
packages=(
  go.etcd.io/etcd/server/v3
  k8s.io/kubernetes/cmd/kube-apiserver
  k8s.io/kubernetes/cmd/kube-controller-manager
  k8s.io/kubernetes/cmd/kube-scheduler
  k8s.io/kubernetes/cmd/kubemark
  k8s.io/kubernetes/cmd/kubectl
)
for package in "${packages[@]}"; do
  n=$((n + 1))
  name=${package##*/}
  [ "$name" = v3 ] && name=etcd
  printf 'control plane: building %s %s (%d of %d; the first time takes about ten minutes in all)\n' "$name" "$version" "$n" "${#packages[@]}"
  CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$out/$name.new" "$package"
  mv "$out/$name.new" "$out/$name"
done
printf '%s' "$stamp" >"$out/.stamp"
