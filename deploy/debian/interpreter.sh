#!/usr/bin/env bash
# Builds the Python that packages for older distributions bring along: CPython from Debian's own source package, compiled in a
# Debian 11 folder (glibc 2.31, the oldest target), so that it runs on Debian 11 and Ubuntu 20.04 and everything newer.
# Needs root, debootstrap and Debian's mirror; takes some minutes; the result is kept.
#
#   deploy/debian/interpreter.sh [OUTPUT]        (build/interpreter)
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
output=${1:-$here/build/interpreter}
root=$here/build/interpreter-root
mirror=${LUYTRE_DEBIAN_MIRROR:-}  # if empty, the one that debootstrap takes by itself
release=trixie package=python3.13 series=3.13
prefix=/usr/lib/luytre-agent/python

[ "$(id -u)" = 0 ] || { echo "interpreter: needs root (debootstrap, chroot)" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "interpreter: needs debootstrap; install it with: apt-get install debootstrap" >&2; exit 2; }
[ -x "$output$prefix/bin/python3" ] && exit 0

if [ ! -e "$root/.ready" ]; then
  rm -rf "$root"
  debootstrap --variant=minbase --include=build-essential,pkg-config,dpkg-dev,libffi-dev,patchelf,zlib1g-dev,ca-certificates bullseye "$root" ${mirror:+"$mirror"} >/dev/null
  mirror=${mirror:-$(awk '$1 == "deb" { print $2; exit }' "$root/etc/apt/sources.list")}
  echo "deb-src $mirror $release main" >"$root/etc/apt/sources.list.d/source.list"
  # The keys of a newer Debian than this folder's: those of the machine that builds.
  cp /usr/share/keyrings/debian-archive-*.gpg "$root/etc/apt/trusted.gpg.d/" 2>/dev/null || true
  touch "$root/.ready"
fi
cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
mount --bind /proc "$root/proc"
trap 'umount "$root/proc"' EXIT
echo "interpreter: compiling Python $series (some minutes)" >&2
chroot "$root" env LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive /bin/bash -euo pipefail -c "
  apt-get update -qq
  cd /usr/src
  [ -e unpacked ] || { apt-get source -qq --download-only $package/$release; dpkg-source -x --skip-patches $package*.dsc unpacked >/dev/null 2>&1 || dpkg-source --no-check -x $package*.dsc unpacked; }
  # OpenSSL from the newer Debian too, linked in: this one's is no longer looked after, and its soname is not the targets'.
  if [ ! -e ssl/lib/libssl.a ]; then
    if [ ! -e openssl ]; then
      # Mirrors are now and then behind their own index: the newest that is there.
      for version in \$(apt-cache showsrc openssl | sed -n 's/^Version: //p' | sort -rV); do
        apt-get source -qq --download-only openssl=\$version && break
      done
      dpkg-source --no-check -x openssl_*.dsc openssl >/dev/null
    fi
    (cd openssl && ./Configure linux-\$(uname -m) no-shared no-tests no-docs no-apps no-module no-legacy -fPIC --prefix=/usr/src/ssl --libdir=lib \
      --openssldir=/etc/ssl >/dev/null && make -s -j\$(nproc) build_libs && make -s install_dev) >/usr/src/ssl.log 2>&1 || { tail -30 /usr/src/ssl.log; exit 1; }
  fi
  # What the static library needs comes after it on every command line.
  echo 'INPUT(/usr/src/ssl/lib/libcrypto.a -ldl -lpthread)' >ssl/lib/libcrypto.so
  mkdir -p make && cd make
  [ -e Makefile ] || ../unpacked/configure --with-openssl=/usr/src/ssl --quiet --prefix=$prefix --without-ensurepip --disable-test-modules --without-static-libpython \
    --without-doc-strings --with-pkg-config=yes >/dev/null
  make -s -j\$(nproc) >/usr/src/make.log 2>&1 || { tail -30 /usr/src/make.log; exit 1; }
  rm -rf /usr/src/tree
  make -s install DESTDIR=/usr/src/tree >>/usr/src/make.log 2>&1
"
tree=$root/usr/src/tree$prefix
ls "$root/usr/src/tree$prefix/lib/python$series/lib-dynload" | grep -q '^_ssl\.' ||
  { echo "interpreter: Python was built without OpenSSL; see $root/usr/src/make/config.log" >&2; exit 1; }
lib=$tree/lib/python$series
# What a service never needs: tools, headers, a GUI, tests, and modules whose libraries are not there.
rm -rf "$tree/include" "$tree/share" "$tree/lib/pkgconfig" "$lib"/{idlelib,tkinter,turtledemo,lib2to3,pydoc_data,ensurepip,config-*,test} \
  "$tree"/bin/{idle,pydoc}3* "$tree"/bin/python3*-config
strip --strip-unneeded "$tree/bin/python$series" "$lib"/lib-dynload/*.so
find "$tree" -name __pycache__ -prune -exec rm -rf {} +
# libffi's soname differs between distributions: ours comes along, found beside the modules.
cp -L "$root"/usr/lib/*-linux-gnu/libffi.so.? "$lib/lib-dynload/"
chroot "$root" /bin/sh -c "patchelf --set-rpath '\$ORIGIN' /usr/src/tree$prefix/lib/python$series/lib-dynload/_ctypes.*.so"
cp "$root/usr/src/unpacked/LICENSE" "$tree/LICENSE.txt"
cp "$root/usr/src/openssl/LICENSE.txt" "$tree/LICENSE.openssl.txt"
cp "$root"/usr/share/doc/libffi-dev/copyright "$tree/LICENSE.libffi.txt"
mkdir -p "$output"
cp -a "$root/usr/src/tree/." "$output/"
