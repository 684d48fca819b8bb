#!/bin/sh
# The user's session: a display server whose windows the host shows, a message bus, and what starts applications.
set -eu
umask 077
export DBUS_SESSION_BUS_ADDRESS="unix:path=$XDG_RUNTIME_DIR/bus"
printf '%s\n' "$DBUS_SESSION_BUS_ADDRESS" >"$XDG_RUNTIME_DIR/bus-address"
# All of it starts at once.
dbus-daemon --session --nofork --nopidfile --nosyslog --address="$DBUS_SESSION_BUS_ADDRESS" &
/usr/lib/qubes-manager/launcher &
# What it does is in xpra.conf; no other file is to say more.
export XPRA_SYSTEM_CONF_DIRS=/usr/lib/qubes-manager/xpra XPRA_DEFAULT_CONF_DIRS=/none XPRA_USER_CONF_DIRS=/none
exec xpra start :10 --daemon=no --bind="$XDG_RUNTIME_DIR/xpra.sock" --socket-dirs="$XDG_RUNTIME_DIR"
