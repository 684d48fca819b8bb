#!/bin/sh
# file-manager-entries [FOLDER]: gives the user's file managers their entries for other domains, each of them once: what
# the user has changed or taken away since then stays so. Nautilus knows entries of the user's own only; Thunar takes
# ours until the user has made some.
set -eu
ours=${1:-/usr/lib/qubes-manager}
data=${XDG_DATA_HOME:-$HOME/.local/share}
given=$data/qubes-manager/file-manager-entries
is_given() {
  grep -qxF "$1" "$given" 2>/dev/null
}
note() {
  mkdir -p "${given%/*}"
  echo "$1" >>"$given"
}

if command -v nautilus >/dev/null; then
  scripts=$data/nautilus/scripts
  mkdir -p "$scripts"
  for entry in "$ours"/nautilus/*; do
    name=${entry##*/}
    is_given "$name" && continue
    [ -e "$scripts/$name" ] || [ -L "$scripts/$name" ] || cp "$entry" "$scripts/$name"
    note "$name"
  done
fi

command -v thunar >/dev/null || exit 0
actions=$ours/xdg/Thunar/uca.xml
own=${XDG_CONFIG_HOME:-$HOME/.config}/Thunar/uca.xml
for id in $(sed -n 's|.*<unique-id>\(.*\)</unique-id>.*|\1|p' "$actions"); do
  # Thunar has a terminal among the user's own.
  [ "$id" != qubes-manager-terminal ] || continue
  is_given "$id" && continue
  if [ -f "$own" ] && ! grep -qF "<unique-id>$id</unique-id>" "$own"; then
    awk -v id="<unique-id>$id</unique-id>" '
      FNR == NR {
        if (/<action>/) block = ""
        block = block $0 "\n"
        if (/<\/action>/ && index(block, id)) found = block
        next
      }
      at = index($0, "</actions>") { $0 = substr($0, 1, at - 1) "\n" found substr($0, at) }
      { print }' "$actions" "$own" >"$own.new"
    mv "$own.new" "$own"
  fi
  note "$id"
done
