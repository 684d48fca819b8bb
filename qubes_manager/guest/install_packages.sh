# Brings what is missing of Debian's packages into a guest, and tells which version of xpra is there then.
# The host sets $packages. An xpra.deb on standard input is installed too.
set -eu
export DEBIAN_FRONTEND=noninteractive
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
try() {
  "$@" >"$work/said" 2>&1 && return
  grep '^E: ' "$work/said" >"$work/errors" || cp "$work/said" "$work/errors"
  tail -n 1 "$work/errors" >&2
  exit 1
}
state() {
  dpkg-query --show --showformat "$1" "$2" 2>/dev/null || true
}
missing=
for package in $packages; do
  # shellcheck disable=SC2016 # dpkg-query's own variables
  [ "$(state '${db:Status-Status}' "$package")" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
  try apt-get --quiet update
  # shellcheck disable=SC2086 # one word a package
  try apt-get --quiet --yes --no-install-recommends install $missing
fi
cat >"$work/xpra.deb"
[ ! -s "$work/xpra.deb" ] || try dpkg --install "$work/xpra.deb"
# shellcheck disable=SC2016
state '${Version}' xpra
