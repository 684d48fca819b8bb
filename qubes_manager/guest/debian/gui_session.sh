#!/bin/sh
# The user's session: a display server whose windows the host shows. Runs under dbus-run-session.
set -eu
umask 077
printf '%s\n' "$DBUS_SESSION_BUS_ADDRESS" >"$XDG_RUNTIME_DIR/bus-address"
/usr/lib/qubes-manager/launcher &
# The host takes nothing but windows; what else the server could offer is not even started.
exec xpra start :10 --daemon=no --bind="$XDG_RUNTIME_DIR/xpra.sock" --socket-dirs="$XDG_RUNTIME_DIR" --mdns=no --html=off \
  --systemd-run=no --dbus-proxy=no --dbus-launch=no --pulseaudio=no --speaker=off --microphone=off --webcam=no \
  --notifications=no --printing=no --file-transfer=no --open-files=no --open-url=no --clipboard=no --system-tray=no \
  --start-new-commands=no --bell=no --mmap=no --video-encoders=none --encodings=rgb,png --exit-with-children=no
