"""What a domain may reach: a machine of its own beyond this one, as a network namespace; needs root.

Its addresses are none of this machine's and of no home network (RFC 2544, RFC 3849).
"""

import contextlib
import json
import secrets
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from tests.waiting import wait_until

# Sends zeros without end, a byte now and then, or back what came, as it is told first; datagrams come back.
_SERVER = """
import socket, sys, threading, time

def serve(connection, sender):
    with connection:
        kind = connection.recv(5)
        while kind == b"zeros":
            connection.sendall(bytes(1 << 16))
        while kind == b"drips":
            connection.sendall(b"x")
            time.sleep(0.2)
        while kind == b"drain" and connection.recv(1 << 16):
            pass
        while kind == b"echo " and (data := connection.recv(1 << 16)):
            connection.sendall(data)

def listen(port):
    # An answer comes from the address that was asked.
    for address in sys.argv[1:]:
        heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        heard.bind((address, port))
        threading.Thread(target=answer, args=(heard,), daemon=True).start()
    with socket.create_server(("0.0.0.0", port), backlog=128) as server:
        while True:
            try:
                threading.Thread(target=quietly, args=server.accept(), daemon=True).start()
            except OSError:
                pass

def quietly(*words):
    try:
        serve(*words)
    except OSError:
        pass

def answer(heard):
    while True:
        data, sender = heard.recvfrom(2000)
        heard.sendto(data, sender)

threading.Thread(target=listen, args=(9001,), daemon=True).start()
listen(9000)
"""
PORT, OTHER_PORT = 9000, 9001


@dataclass(frozen=True)
class Outside:
    """Its address, the one by which this machine reaches it without a router, and this machine's on that way."""

    address: str = "198.19.7.2"
    near: str = "198.18.7.2"
    here: str = "198.18.7.1"
    # What runs a command there.
    enter: tuple[str, ...] = ()


@contextlib.contextmanager
def outside() -> Iterator[Outside]:
    """The other machine, with a server on two ports that echoes or sends without end."""
    word = secrets.token_hex(3)
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up; exec sleep infinity"], start_new_session=True
    )
    try:
        own = subprocess.run(["readlink", "/proc/self/ns/net"], capture_output=True, text=True, check=True).stdout
        wait_until(lambda: _namespace(holder.pid) not in ("", own), "the namespace is made")
        inside = ["nsenter", f"--target={holder.pid}", "--net"]
        there = Outside(enter=tuple(inside))
        near, far = f"qm{word}a", f"qm{word}b"
        for line in (
            f"link add {near} type veth peer name {far}",
            f"link set {far} netns {holder.pid}",
            f"addr add {there.here}/30 dev {near}",
            f"link set {near} up",
        ):
            subprocess.run(["ip", *line.split()], check=True)
        for line in (
            f"addr add {there.near}/30 dev {far}",
            f"link set {far} up",
            f"addr add {there.address}/32 dev lo",
        ):
            subprocess.run([*inside, "ip", *line.split()], check=True)
        subprocess.run(["ip", "route", "add", there.address, "via", there.near], check=True)
        server = subprocess.Popen(
            [*inside, sys.executable, "-c", textwrap.dedent(_SERVER), there.address, there.near], start_new_session=True
        )
        try:
            yield there
        finally:
            server.kill()
            server.wait()
    finally:
        holder.kill()
        holder.wait()


def host_addresses() -> list[str]:
    """All addresses of this machine; those of a link with its name."""
    links = json.loads(subprocess.run(["ip", "-json", "address"], capture_output=True, check=True).stdout)
    return [
        info["local"] + (f"%{link['ifname']}" if info["scope"] == "link" and ":" in info["local"] else "")
        for link in links
        for info in link["addr_info"]
    ]


def _namespace(pid: int) -> str:
    return subprocess.run(["readlink", f"/proc/{pid}/ns/net"], capture_output=True, text=True, check=False).stdout
