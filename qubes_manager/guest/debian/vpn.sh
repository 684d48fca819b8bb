#!/bin/sh
# Leads what this domain forwards for others, and what it sends itself, through the tunnel of a WireGuard file.
# What others ask of DNS goes to the servers that the file names. That nothing goes past the tunnel is not up to this:
# provide-network forwards to it alone, and the host lets this domain reach the tunnel's servers only.
set -eu
folder=/run/qubes-manager-vpn
mkdir -p $folder
chmod 0700 $folder
/usr/lib/qubes-manager/tunnel-file /rw/config/vpn/wireguard.conf $folder/vpn0.new >$folder/rules
nft -f $folder/rules
[ ! -e $folder/vpn0.conf ] || wg-quick down $folder/vpn0.conf 2>/dev/null || true
mv $folder/vpn0.new $folder/vpn0.conf
wg-quick up $folder/vpn0.conf
