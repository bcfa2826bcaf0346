#!/usr/bin/env bash
# What the build needs from the system. Installs Debian packages where it may (root, or sudo without a password);
# otherwise says what to install. Called by `make setup`.
#
#   deploy/setup.sh [--packages] [PYTHON]
#
# With --packages also what building and trying the Debian packages needs.
set -euo pipefail

packages=
if [ "${1:-}" = --packages ]; then packages=yes; shift; fi
python=${1:-python3}
say() { printf 'setup: %s\n' "$*" >&2; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  { say "needs Python 3.11 or newer as $python; give another with: make PYTHON=/path/to/python3"; exit 2; }
command -v cargo >/dev/null ||
  { say "needs a Rust toolchain (rustc 1.88 or newer); install it with rustup, then run make again"; exit 2; }

# command or file that shows a package is there : package
wanted=(
  cc:build-essential
  clang:clang
  /usr/include/bpf/bpf_helpers.h:libbpf-dev
  ip:iproute2
)
if [ -n "$packages" ]; then
  wanted+=(dpkg-deb:dpkg-dev debootstrap:debootstrap lintian:lintian man:man-db systemd-analyze:systemd)
fi
missing=()
for pair in "${wanted[@]}"; do
  what=${pair%%:*} package=${pair#*:}
  case $what in
    /*) [ -e "$what" ] || missing+=("$package") ;;
    *) command -v "$what" >/dev/null || missing+=("$package") ;;
  esac
done
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" = 0 ]; then sudo=(); elif sudo -n true 2>/dev/null; then sudo=(sudo -n); else sudo=(false); fi
if [ "${sudo[*]:-}" != false ] && command -v apt-get >/dev/null; then
  say "installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  exit 0
fi
say "missing: ${missing[*]}; install them with: sudo apt-get install ${missing[*]}"
for package in "${missing[@]}"; do
  case $package in
    clang | libbpf-dev) say "going on without $package: the core will carry no eBPF program and fall back to cn_proc" ;;
    debootstrap | lintian | man-db | systemd) say "going on without $package: some tests of the packages will be skipped" ;;
    iproute2) say "going on without $package: the demo will replay a capture file" ;;
    *) exit 2 ;;
  esac
done
