# Installs the guest tools. The host sends this shell their archive, and sets $version, $sum (its SHA-256) and $list.
# Killed at any moment it leaves the old tools or the new ones: each program names the folder of its own modules.
set -eu
umask 022
say() {
  echo "$1" >&2
  exit 1
}
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || say "it has no Python 3.11 or later: install python3"
id user >/dev/null 2>&1 || say "it has no account “user”, which the tools run as: make one"
folder=/usr/lib/qubes-manager
mkdir -p $folder
# A folder of its own: what one that was killed has left running may still write into the other's.
rm -rf $folder/.new $folder/.new.*
new=$folder/.new.$$
mkdir $new
trap 'rm -rf $new' EXIT
cat >$new/archive
echo "$sum  $new/archive" | sha256sum -c >/dev/null 2>&1 || say "the archive was damaged on the way"
tree=$new/tree
mkdir $tree
tar -xzf $new/archive -C $tree
chown -R root:root $tree
modules=$folder/python-$version
python3 -m compileall -q -s $tree $tree$modules
if [ ! -d $modules ]; then
  mv $tree$modules $modules
elif ! diff -rq $tree$modules $modules >/dev/null; then
  # Somebody has changed them: nothing that starts just now is any worse off.
  mv $modules $new/changed
  mv $tree$modules $modules
fi
old=$new/old
[ ! -f /$list ] || cp /$list $old
# The list comes last: it says that all is there.
{ sed 1d $tree/$list | grep -v -e "^usr/lib/qubes-manager/python-" | grep -vxF "$list"; echo "$list"; } >$new/places
while IFS= read -r place; do
  mkdir -p "/$(dirname "$place")"
  cp -p "$tree/$place" "/$place.new"
  mv -f "/$place.new" "/$place"
done <$new/places
# What only the old tools had; modules of the last version stay, since programs of it may still run.
last=$version
if [ -f $old ]; then
  read -r last <$old
  sed 1d $old | grep -v "^usr/lib/qubes-manager/python-" | while IFS= read -r place; do
    grep -qxF "$place" "/$list" || rm -f "/$place"
  done
fi
for other in $folder/python-*; do
  case ${other##*/python-} in "$version" | "$last") ;; *) rm -rf "$other" ;; esac
done
# Nobody logs in here, who would be let at the sound device by that.
! getent group audio >/dev/null 2>&1 || usermod --append --groups audio user
sync
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
# What of it the guest has no use for (no xpra, no private volume) its unit says by itself.
for unit in qubes-manager-private qubes-manager-gui; do
  # Whoever has masked one wants none of it, and the tools all the same.
  case $(systemctl is-enabled $unit 2>/dev/null) in masked*) ;; *) systemctl --quiet enable $unit ;; esac
done
udevadm control --reload
udevadm trigger --action=change --subsystem-match=virtio-ports
udevadm settle
[ ! -e /dev/virtio-ports/org.qubes_manager.req.0 ] || systemctl --no-block restart qubes-manager-crossing
