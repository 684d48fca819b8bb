#!/bin/sh
# Gives this domain's network to the domains that are connected to its second card, which the host's program marks by its
# address (core/interfaces.py). They have 10.140.0.0/16 and fd51:7562:6573:140::/64, and a cable each.
# They reach what this domain reaches by any other interface, and nothing of this domain itself.
set -eu
card=
for place in /sys/class/net/*; do
  case $(cat "$place/address") in 52:51:75:*) card=${place##*/} ;; esac
done
[ -n "$card" ] || exit 0

# A domain that forwards takes no router's word otherwise (Documentation/networking/ip-sysctl.rst).
for place in /sys/class/net/*; do
  name=/proc/sys/net/ipv6/conf/${place##*/}/accept_ra
  [ ! -e "$name" ] || echo 2 >"$name"
done
own=/proc/sys/net/ipv6/conf/$card
if [ -e "$own" ]; then
  echo 0 >"$own/accept_ra"
  echo 0 >"$own/accept_dad"
fi

# A domain with a tunnel forwards into that alone, from the first moment on.
out=
[ ! -e /rw/config/vpn/wireguard.conf ] || out='oifname != "vpn0"'

# First of all, so that nothing passes unguarded.
nft -f - <<END
table inet qubes_manager_network
delete table inet qubes_manager_network
table inet qubes_manager_network {
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname "$card" oifname "$card" drop
    ${out:+iifname "$card" $out drop}
    iifname "$card" tcp flags syn / syn,rst tcp option maxseg size set rt mtu
    iifname "$card" accept
    oifname "$card" ct state established,related accept
    oifname "$card" drop
  }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "$card" icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    iifname "$card" ct state established,related accept
    iifname "$card" drop
  }
  chain out {
    type nat hook postrouting priority 100; policy accept;
    iifname "$card" oifname != "$card" masquerade
  }
}
END
for name in ipv4/ip_forward ipv6/conf/all/forwarding; do
  [ ! -e /proc/sys/net/$name ] || echo 1 >/proc/sys/net/$name
done
ip link set "$card" up
ip addr replace 10.139.2.2/30 dev "$card"
ip route replace 10.140.0.0/16 via 10.139.2.1 dev "$card"
if [ -e "$own" ]; then
  ip -6 addr replace fd51:7562:6573:13a::3/127 dev "$card"
  ip -6 route replace fd51:7562:6573:140::/64 via fd51:7562:6573:13a::2 dev "$card"
fi
