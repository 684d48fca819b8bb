#!/bin/sh
# in-session LINE: runs a shell line in the user's session, in the foreground. Exit code 69: there is no session.
set -u
run=/run/qubes-manager-gui
[ -x /usr/bin/xpra ] || exit 69
tries=0
until [ -S "$run/bus" ] && [ -S "$run/xpra.sock" ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 480 ] || exit 69
  sleep 0.25
done
cd || exit 69
SHELL=$(getent passwd "$(id -u)" | cut -d: -f7) && export SHELL
export DISPLAY=:10 XAUTHORITY="$HOME/.Xauthority" XDG_RUNTIME_DIR="$run" XDG_SESSION_TYPE=x11
export XDG_CONFIG_DIRS=/usr/lib/qubes-manager/xdg:/etc/xdg
DBUS_SESSION_BUS_ADDRESS=$(cat "$run/bus-address") && export DBUS_SESSION_BUS_ADDRESS
# The host's scale, in the words of toolkits (guest/session/scale.py).
set -a
[ ! -r "$run/scale" ] || . "$run/scale"
set +a
[ -r /etc/default/locale ] && . /etc/default/locale && export LANG
exec sh -c "$1"
