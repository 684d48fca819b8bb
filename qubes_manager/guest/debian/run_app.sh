#!/bin/sh
# Starts something in the user's session:
#   run-app app ID        an application, by the name of its .desktop file without the ending; does not wait for its end
#   run-app command LINE  a shell line, without waiting for its end
#   run-app exec LINE     a shell line, in the foreground
# Exit codes: 66 there is no such application, 69 there is no session, 65 it could not be started.
set -u
run=/run/qubes-manager-gui
tries=0
while [ ! -S "$run/xpra.sock" ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 600 ] || exit 69
  sleep 0.1
done
if [ "$(id -u)" = 0 ]; then
  exec setpriv --reuid=user --regid=user --init-groups --reset-env "$0" "$@"
fi
cd || exit 69
SHELL=$(getent passwd "$(id -u)" | cut -d: -f7) && export SHELL
export DISPLAY=:10 XAUTHORITY="$HOME/.Xauthority" XDG_RUNTIME_DIR="$run" XDG_SESSION_TYPE=x11
DBUS_SESSION_BUS_ADDRESS=$(cat "$run/bus-address") && export DBUS_SESSION_BUS_ADDRESS
[ -r /etc/default/locale ] && . /etc/default/locale && export LANG

# A file in a folder has the folder's name and a dash before its own (desktop entry specification, "desktop file ID").
desktop_file() {
  for base in "$HOME/.local/share" /usr/local/share /usr/share /var/lib/flatpak/exports/share; do
    name=$1 folder=
    while :; do
      file="$base/applications/$folder$name.desktop"
      [ -f "$file" ] && echo "$file" && return
      case $name in *-*) folder="$folder${name%%-*}/" name=${name#*-} ;; *) break ;; esac
    done
  done
  return 1
}

case $1 in
  app)
    file=$(desktop_file "$2") || exit 66
    gio launch "$file" </dev/null >/dev/null 2>&1 || exit 65
    ;;
  command)
    setsid -f sh -c "$2" </dev/null >/dev/null 2>&1 || exit 65
    ;;
  exec) exec sh -c "$2" ;;
  *) exit 64 ;;
esac
