#!/bin/sh
# Installs Luy Tre from this folder, without a network: verifies what lies here, then user, program, unit, configuration.
#
#   ./install.sh agent|collector [--wheels]
#
# On Debian and Ubuntu the package is installed, elsewhere (RHEL 8 and 9, or with --wheels) a virtual environment in
# /opt/luytre from the wheels, for which Python 3.11 or newer must be there. Given again, with a newer folder, it upgrades.
# Exit codes: 0 done, 1 failed, 2 a mistake in what was asked, or something that this host lacks.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
say() { printf 'install: %s\n' "$*"; }
fail() { code=$1; shift; printf 'install: %s\n' "$*" >&2; exit "$code"; }

program='' wheels=''
for word in "$@"; do
  case $word in
    agent | collector) program=$word ;;
    --wheels) wheels=yes ;;
    -h | --help) sed -n 's/^# \{0,1\}//; 2,9p' "$0"; exit 0 ;;
    *) fail 2 "$word: not known; give agent or collector, and --wheels if you want" ;;
  esac
done
[ -n "$program" ] || fail 2 "give what to install: ./install.sh agent, or ./install.sh collector"
[ "$(id -u)" = 0 ] || fail 2 "must be root: sudo ./install.sh $program"
name=luytre-$program

# Everything in the folder that this program needs is as it was when the folder was made. SHA256SUMS itself is what you
# compare with the copy that you got over another way.
[ -e "$here/SHA256SUMS" ] || fail 2 "$here/SHA256SUMS: missing; copy the whole folder"
(cd "$here" && sha256sum --quiet --strict --check SHA256SUMS) ||
  fail 1 "the folder is damaged or was changed; copy it again, nothing was installed"

# The oldest of the Pythons that will do; VERSION (3.11) in the variable `version`.
find_python() {
  for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
    version=$("$candidate" -IS -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    if grep -qx "$version" "$here/$program.pythons"; then python=$(command -v "$candidate"); return 0; fi
  done
  return 1
}

install_package() {
  package=''
  system=$(python3 -IS -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo none)
  while read -r version file; do
    if [ "$version" = "$system" ]; then package=$file; break; fi
    if [ "$version" = any ]; then package=${package:-$file}; fi
  done <"$here/$program.packages"
  [ -n "$package" ] ||
    fail 2 "no package here for Python $system of this system; see $here/$program.packages, or try --wheels"
  say "package $package"
  dpkg -i "$here/$package" ||
    fail 1 "dpkg could not finish; what it names as missing must come from the system's installation medium first"
}

install_wheels() {
  find_python || fail 2 "needs one of Python $(paste -sd' ' "$here/$program.pythons"); on RHEL 8 and 9: dnf install python3.11"
  say "wheels for Python $version, into /opt/luytre/$program"
  new=/opt/luytre/$program.new
  rm -rf "$new"
  mkdir -p /opt/luytre
  "$python" -I -m venv "$new" ||
    fail 2 "$python cannot make virtual environments; install its venv module (python3-venv)"
  # Names and hashes from the lock; the folder is the only place that is looked at.
  "$new/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-index --no-deps --require-hashes \
    --find-links "$here/wheels" -r "$here/$program-$version.txt" ||
    { rm -rf "$new"; fail 1 "the wheels could not be installed; what was there is untouched"; }
  # Scripts of a virtual environment name its place: it is made once more where it will live, from the same files.
  rm -rf "/opt/luytre/$program.old"
  [ ! -e "/opt/luytre/$program" ] || mv "/opt/luytre/$program" "/opt/luytre/$program.old"
  mv "$new" "/opt/luytre/$program"
  cat >"/opt/luytre/$program/bin/$name" <<END
#!/opt/luytre/$program/bin/python -I
import sys

from luytre_$program.__main__ import main

sys.exit(main())
END
  chmod 755 "/opt/luytre/$program/bin/$name"
  mkdir -p /usr/local/bin
  ln -sf "/opt/luytre/$program/bin/$name" "/usr/local/bin/$name"

  getent group "$name" >/dev/null || groupadd --system "$name"
  getent passwd "$name" >/dev/null ||
    useradd --system --gid "$name" --no-create-home --home-dir "/var/lib/$name" --shell /usr/sbin/nologin "$name"
  install -d -o "$name" -g "$name" -m 0750 "/var/lib/$name"
  install -d -o "$name" -g "$name" -m 0700 "/var/lib/$name/pki"
  install -d -m 0755 /etc/luytre /etc/luytre/pki /etc/systemd/system
  if [ -e "/etc/luytre/$program.toml" ]; then
    say "/etc/luytre/$program.toml is there and stays as it is"
  else
    install -o root -g "$name" -m 0640 "$here/config/$program.toml" "/etc/luytre/$program.toml"
  fi
  sed "s,/usr/bin/$name,/usr/local/bin/$name,; s,/bin/kill,$(command -v kill || echo /bin/kill)," "$here/systemd/$name.service" \
    >"/etc/systemd/system/$name.service"
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl enable --quiet "$name.service"
    if systemctl --quiet is-active "$name.service"; then systemctl restart "$name.service"; fi
  else
    mkdir -p /etc/systemd/system/multi-user.target.wants
    ln -sf "/etc/systemd/system/$name.service" "/etc/systemd/system/multi-user.target.wants/$name.service"
  fi
}

if [ -z "$wheels" ] && command -v dpkg >/dev/null 2>&1; then install_package; else install_wheels; fi
say "$("$name" --version) is installed"
case $program in
  agent)
    say "next: luytre-agent enrol --collector HOST:7072 --token TOKEN --config /etc/luytre/agent.toml"
    say "then: luytre-agent check; systemctl start luytre-agent" ;;
  collector)
    say "next: luytre-collector pki init, and pki issue NAME --collector; see /etc/luytre/collector.toml"
    say "then: luytre-collector check; systemctl start luytre-collector" ;;
esac
