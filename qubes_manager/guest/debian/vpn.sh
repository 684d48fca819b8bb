#!/bin/sh
# Leads all that this domain sends, and all that it forwards for others, through the tunnel of a WireGuard file.
# What others ask of DNS goes to the servers that the file names; where it names none, they get no answer.
set -eu
file=/rw/config/vpn/wireguard.conf
mkdir -p /run/qubes-manager-vpn
chmod 0700 /run/qubes-manager-vpn
tunnel=/run/qubes-manager-vpn/vpn0.conf
# wg-quick would want resolvconf for them, and runs what a file tells it to run.
sed -E '/^[[:space:]]*(DNS|PreUp|PostUp|PreDown|PostDown|SaveConfig|Table)[[:space:]]*=/Id' "$file" >"$tunnel"
chmod 0600 "$tunnel"
servers=$(sed -nE 's/^[[:space:]]*DNS[[:space:]]*=[[:space:]]*([^#]*).*/\1/Ip' "$file" | tr ',' ' ')
four=
six=
for server in $servers; do
  case $server in
    *[!0-9.:a-fA-F]*) ;; # a domain to search
    *:*) six=${six:-$server} ;;
    *.*.*.*) four=${four:-$server} ;;
  esac
done

nft -f - <<END
table inet qubes_manager_vpn
delete table inet qubes_manager_vpn
table inet qubes_manager_vpn {
  chain forward {
    type filter hook forward priority -10; policy accept;
    iifname != "vpn0" oifname != "vpn0" drop
  }
  chain names {
    type nat hook prerouting priority -100; policy accept;
    ${four:+iifname != "vpn0" ip daddr 10.139.1.1 meta l4proto { tcp, udp } th dport 53 dnat ip to $four}
    ${six:+iifname != "vpn0" ip6 daddr fd51:7562:6573:139::1 meta l4proto { tcp, udp } th dport 53 dnat ip6 to $six}
  }
}
END
wg-quick down "$tunnel" 2>/dev/null || true
wg-quick up "$tunnel"
if [ -n "$four$six" ] && command -v resolvectl >/dev/null; then
  resolvectl dns vpn0 $four $six && resolvectl domain vpn0 '~.' || true
fi
