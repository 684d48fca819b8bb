"""A domain's end of what it gives to others: a namespace with its second card, and a cable to each of theirs.

It is this machine's side: it lets through what the others send to the domain, and what comes back, and nothing from one
of them to another. The domain sees who of them it was. It answers nobody, but for who is whose neighbour; the table of
those is one for all namespaces, so nothing here has more neighbours than the other end of what it is connected by.
"""

from qubes_manager.network.addresses import (
    CLIENT_GATEWAY4,
    PROVIDER4,
    PROVIDER6,
    PROVIDER_GATEWAY4,
    PROVIDER_GATEWAY6,
)
from qubes_manager.network.inside import FORWARDING, GATEWAY_MAC, put_sysctls, run_ip, run_tool
from qubes_manager.network.ruleset import CARD

# The name that all cables begin with.
CABLE = "to-"
# Each sends from the address that it was given.
_SYSCTLS = FORWARDING | {"ipv4/conf/all/rp_filter": "1", "ipv4/conf/default/rp_filter": "1"}
_NEIGHBOURS = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"
_RULES = f"""
table inet between {{
  chain forward {{
    type filter hook forward priority 0
    policy drop
    iifname "{CABLE}*" oifname "{CARD}" accept
    iifname "{CARD}" oifname "{CABLE}*" accept
  }}
  chain input {{
    type filter hook input priority 0
    policy drop
    iifname "{CARD}" {_NEIGHBOURS} limit rate 20/second accept
    iifname "{CABLE}*" {_NEIGHBOURS} accept
  }}
  chain output {{
    type filter hook output priority 0
    policy drop
    {_NEIGHBOURS} accept
  }}
}}
table netdev guard {{
  chain card {{
    type filter hook ingress device "{CARD}" priority 0
    ether type arp limit rate over 20/second drop
    ether type != {{ arp, ip, ip6 }} drop
  }}
}}
"""


def set_up_downstream() -> None:
    """Configure the namespace that this process is in, as its root; raises OSError."""
    put_sysctls(_SYSCTLS)
    run_tool("nft", "-f", "-", feed=_RULES)
    run_ip(
        "link set lo up",
        f"addr add {CLIENT_GATEWAY4}/32 dev lo",
        f"link set {CARD} address {GATEWAY_MAC}",
        f"addr add {PROVIDER_GATEWAY4}/30 dev {CARD}",
        f"addr add {PROVIDER_GATEWAY6}/127 dev {CARD} nodad",
        f"link set {CARD} up",
        f"route add default via {PROVIDER4} dev {CARD}",
        f"route add default via {PROVIDER6} dev {CARD}",
    )
