#!/bin/sh
# Builds etcd, kube-apiserver and kube-controller-manager into a folder, from the distribution's own
# packages: for tests on machines that reach nothing else. Does nothing when they are there, made by
# this very script from this release of the distribution, and runnable.
#
# Usage: build-apiserver.sh FOLDER      (then KUBEBUILDER_ASSETS=FOLDER)
#
# Needs Debian or Ubuntu, and root to install the compiler and etcd. The machine's apt sources stay
# as they are: source packages are found through lists of our own.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 FOLDER" >&2
    exit 2
fi
# What the programs are made of and how: another script or release makes others.
script=$(sha256sum <"$0")
apt=$(cd "$(dirname "$0")/../environment" && pwd)/apt.sh
stamp="${script%% *} $(. /etc/os-release && echo "$ID $VERSION_ID")"
mkdir -p "$1"
folder=$(cd "$1" && pwd)
work=$folder/build
kubernetes=$work/go/src/k8s.io/kubernetes

is_complete() {
    [ "$(cat "$folder/made-by" 2>/dev/null)" = "$stamp" ] || return
    for program in etcd kube-apiserver kube-controller-manager; do
        "$folder/$program" --version >/dev/null 2>&1 || return
    done
}

install_packages() {
    set -- golang-go dpkg-dev etcd-server golang-github-modern-go-reflect2-dev
    if dpkg -s "$@" >/dev/null 2>&1; then
        return
    fi
    if ! command -v apt-get >/dev/null; then
        echo "install $* first: this machine has no apt-get" >&2
        exit 1
    fi
    "$apt" update -q
    # The packages start services of their own, which the tests don't want.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive "$apt" install -q -y --no-install-recommends "$@"
}

# Runs apt-get with lists of our own, made from the machine's binary sources.
apt_source() {
    "$apt" -q -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" \
        -o APT::Sandbox::User=root "$@"
}

fetch_source() {
    if [ -d "$kubernetes/cmd/kube-apiserver" ]; then
        return
    fi
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/source"
    apt-get indextargets 'Created-By: Packages' | awk -v RS= -F '\n' '{
        keys = ""
        for (i = 1; i <= NF; i++) {
            value = $i
            sub(/^[^:]*: */, "", value)
            if ($i ~ /^Signed-By:/) keys = "[signed-by=" value "] "
            if ($i ~ /^Repo-URI:/) uri = value
            if ($i ~ /^Release:/) release = value
            if ($i ~ /^Component:/) component = value
        }
        print "deb-src " keys uri " " release " " component
    }' | sort -u >"$work/sources.list"
    apt_source update
    (cd "$work/source" && apt_source --download-only source kubernetes)
    rm -rf "$kubernetes"
    mkdir -p "$(dirname "$kubernetes")"
    dpkg-source --no-check -x "$work/source"/kubernetes_*.dsc "$kubernetes.part"
    # The vendored copy crashes when compiled with Go 1.18 and later.
    rm -rf "$kubernetes.part/vendor/github.com/modern-go/reflect2"
    cp -r /usr/share/gocode/src/github.com/modern-go/reflect2 \
        "$kubernetes.part/vendor/github.com/modern-go/"
    mv "$kubernetes.part" "$kubernetes"
}

# The source package lacks a file that its own build generates.
generate_openapi() {
    target=pkg/generated/openapi/zz_generated.openapi.go
    if [ -f "$target" ]; then
        return
    fi
    go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
    # Packages that ask for it, but for the components' own configuration: no API serves it, and
    # its durations are beyond this generator with a newer Go.
    packages=$(grep -rl --include='*.go' '+k8s:openapi-gen=' staging/src/k8s.io pkg |
        grep -v -e _test.go -e /testdata/ -e /code-generator/ -e /sample- -e /config/ |
        xargs -n 1 dirname | sort -u |
        sed -e 's|^staging/src/|k8s.io/kubernetes/vendor/|' -e 's|^pkg/|k8s.io/kubernetes/pkg/|' |
        paste -s -d ,)
    : >"$work/header"
    "$work/openapi-gen" --input-dirs "$packages" \
        --output-package k8s.io/kubernetes/pkg/generated/openapi \
        --output-file-base zz_generated.openapi --output-base "$work/go/src" \
        --go-header-file "$work/header" --report-filename "$work/openapi-report"
    test -f "$target"
}

if is_complete; then
    exit 0
fi
rm -f "$folder/made-by"
mkdir -p "$work"
install_packages
fetch_source
cd "$kubernetes"
GOPATH=$work/go GOCACHE=$work/cache/go GO111MODULE=off CGO_ENABLED=0 GOFLAGS=-trimpath
export GOPATH GOCACHE GO111MODULE CGO_ENABLED GOFLAGS
generate_openapi
for program in kube-apiserver kube-controller-manager; do
    go build -ldflags '-s -w' -o "$folder/$program.part" "./cmd/$program"
    mv "$folder/$program.part" "$folder/$program"
done
ln -sf "$(command -v etcd)" "$folder/etcd"
echo "$stamp" >"$folder/made-by"
if ! is_complete; then
    rm -f "$folder/made-by"
    echo "what was built in $folder does not run" >&2
    exit 1
fi
rm -rf "$work"
