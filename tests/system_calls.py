"""What a process asks of the network, and which files it opens, as strace sees it: also in native code and in its children.

Belongs here: the command that watches, and the reading of what it wrote. A patched ``socket`` module sees nothing of a look-up
that a native library makes.
"""

import ipaddress
import re
import shutil
import socket
import time
from pathlib import Path
from typing import NamedTuple

_CALLS = "connect,sendto,sendmsg,sendmmsg,open,openat,creat,mkdir,mkdirat"
_ADDRESS = re.compile(r'inet_(?:addr|pton)\((?:AF_INET6, )?"((?:\\x[0-9a-f]{2})+)"')
_SENT = re.compile(r'(?:iov_base=|sendto\(\d+, )"((?:\\x[0-9a-f]{2})+)"')
_PATH = re.compile(r'^\d+ +(?:open|openat|creat|mkdir|mkdirat)\((?:AT_FDCWD, |\d+, )?"((?:\\x[0-9a-f]{2})+)"')
_ENDED = re.compile(r"^(\d+) +\+\+\+ (?:exited|killed)", re.MULTILINE)
_DNS_PORT = "htons(53)"


class Watched(NamedTuple):
    """What was seen.

    Attributes:
        names: the names that were looked up in the DNS.
        addresses: the addresses beyond this machine to which something was sent, without the name servers.
        paths: the files and folders that were opened or made.
    """

    names: frozenset[str]
    addresses: frozenset[str]
    paths: frozenset[str]

    def __or__(self, other: "Watched") -> "Watched":
        return Watched(*(one | another for one, another in zip(self, other, strict=True)))

    def foreign(self, *, configured: frozenset[str] = frozenset()) -> list[str]:
        """What nobody asked for, in words: look-ups, addresses, and queues of usage on disk."""
        own = configured | {"localhost", socket.gethostname()}
        names = {name for name in self.names if name not in own and name.partition(".")[0] not in own}
        queues = {path for path in self.paths if "/.cache/Microsoft" in path}
        return sorted(
            {f"looked up {name}" for name in names}
            | {f"sent to {address}" for address in self.addresses - configured}
            | {f"opened {path}" for path in queues}
        )


NOTHING = Watched(frozenset(), frozenset(), frozenset())


def watching(into: Path) -> list[str]:
    """The words before a command that write its system calls into a file; the process keeps its id and its signals.

    Raises:
        AssertionError: strace isn't installed.
    """
    found = shutil.which("strace")
    assert found, "strace watches for look-ups and isn't installed: install Debian's package strace"
    return [
        found,
        "-D",
        "-f",
        "--seccomp-bpf",
        "-q",
        "-xx",
        "-s",
        "512",
        "-e",
        f"trace={_CALLS}",
        "-e",
        "signal=kill,term",
        "-o",
        str(into),
    ]


def read(into: Path, *, pid: int, within_s: float = 20.0) -> Watched:
    """What was seen of an ended process, once strace has written all of it."""
    end = time.monotonic() + within_s
    while str(pid) not in _ENDED.findall(text := into.read_text(encoding="ascii")):
        assert time.monotonic() < end, f"strace did not see the end of {pid}"
        time.sleep(0.1)
    names, addresses, paths = set[str](), set[str](), set[str]()
    for line in text.splitlines():
        paths |= {_bytes(path).decode(errors="replace") for path in _PATH.findall(line)}
        names |= {name for sent in _SENT.findall(line) if (name := _asked(_bytes(sent)))}
        if _DNS_PORT not in line:
            addresses |= {address for found in _ADDRESS.findall(line) if _is_away(address := _bytes(found).decode())}
    return Watched(frozenset(names), frozenset(addresses), frozenset(paths))


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


def _is_away(address: str) -> bool:
    found = ipaddress.ip_address(address)
    return not (found.is_loopback or found.is_unspecified)


def _asked(sent: bytes) -> str | None:
    """The name in a question to a name server (RFC 1035, sections 4.1.1 and 4.1.2); None for anything else."""
    if len(sent) < 17 or sent[4:10] != b"\x00\x01\x00\x00\x00\x00":
        return None
    labels, at = [], 12
    while 0 < (size := sent[at]) < 64 and at + size < len(sent) - 4:
        labels.append(sent[at + 1 : at + 1 + size].decode(errors="replace"))
        at += size + 1
    return ".".join(labels) if labels and sent[at] == 0 and sent[at + 3 : at + 5] == b"\x00\x01" else None
