#!/bin/sh
# in-session LINE: runs a shell line in the user's session, in the foreground. Exit code 69: there is no session.
set -u
run=/run/qubes-manager-gui
tries=0
while [ ! -S "$run/xpra.sock" ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 600 ] || exit 69
  sleep 0.1
done
cd || exit 69
SHELL=$(getent passwd "$(id -u)" | cut -d: -f7) && export SHELL
export DISPLAY=:10 XAUTHORITY="$HOME/.Xauthority" XDG_RUNTIME_DIR="$run" XDG_SESSION_TYPE=x11
DBUS_SESSION_BUS_ADDRESS=$(cat "$run/bus-address") && export DBUS_SESSION_BUS_ADDRESS
[ -r /etc/default/locale ] && . /etc/default/locale && export LANG
exec sh -c "$1"
