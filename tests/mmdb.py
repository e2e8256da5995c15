"""Small MMDB files, written by hand: one search tree of both families, one row a network.

Source: the MaxMind DB file format, version 2.0.
"""

import struct
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

MARK = b"\xab\xcd\xefMaxMind.com"
SEPARATOR = bytes(16)
STRING, UINT16, UINT32, MAP, UINT64, ARRAY = 2, 5, 6, 7, 9, 11
EXTENDED_FROM = 8
LONG, LONG_MAX = 29, 284
BITS = 128

Node = list["Node | bytes | None"]  # where a 0 leads and where a 1 does: on, to a row, nowhere


def write_mmdb(
    path: Path, rows: Mapping[str, Mapping[str, Any]], *, kind: str = "Test-City", epoch: int = 1
) -> Path:
    """Write a file that answers each network of `rows` with its row. No network holds another."""
    root: Node = [None, None]
    for network, row in rows.items():
        _insert(root, ip_network(network), _encode(row))
    nodes = _numbered(root)
    data, places = bytearray(), dict[bytes, int]()

    def number(child: "Node | bytes | None") -> int:
        if child is None:
            return len(nodes)
        if isinstance(child, list):
            return next(at for at, node in enumerate(nodes) if node is child)
        if child not in places:
            places[child] = len(data)
            data.extend(child)
        return len(nodes) + len(SEPARATOR) + places[child]

    tree = b"".join(struct.pack(">II", *map(number, node)) for node in nodes)
    path.write_bytes(tree + SEPARATOR + bytes(data) + MARK + _metadata(len(nodes), kind, epoch))
    return path


def _insert(root: Node, network: IPv4Network | IPv6Network, row: bytes) -> None:
    """Lead the network's bits to the row; IPv4 lies below ::/96."""
    number = int(network.network_address)
    length = network.prefixlen + (BITS - network.max_prefixlen)
    bits = [number >> (BITS - 1 - at) & 1 for at in range(length)]
    node = root
    for bit in bits[:-1]:
        child = node[bit]
        assert not isinstance(child, bytes), f"{network} lies in another network"
        if child is None:
            child = node[bit] = [None, None]
        node = child
    assert node[bits[-1]] is None, f"{network} holds another network"
    node[bits[-1]] = row


def _numbered(root: Node) -> list[Node]:
    """List the nodes, the root first."""
    nodes = [root]
    for node in nodes:
        nodes.extend(child for child in node if isinstance(child, list))
    return nodes


def _metadata(count: int, kind: str, epoch: int) -> bytes:
    fields = {
        "binary_format_major_version": _number(UINT16, 2),
        "binary_format_minor_version": _number(UINT16, 0),
        "build_epoch": _number(UINT64, epoch),
        "database_type": _encode(kind),
        "description": _control(MAP, 0),
        "ip_version": _number(UINT16, 6),
        "languages": _control(ARRAY, 0),
        "node_count": _number(UINT32, count),
        "record_size": _number(UINT16, 32),
    }
    return _control(MAP, len(fields)) + b"".join(_encode(k) + v for k, v in fields.items())


def _encode(value: Any) -> bytes:
    """Encode texts, numbers of 32 bits and objects of those."""
    if isinstance(value, str):
        raw = value.encode()
        return _control(STRING, len(raw)) + raw
    if isinstance(value, int):
        return _number(UINT32, value)
    inner = b"".join(_encode(key) + _encode(each) for key, each in value.items())
    return _control(MAP, len(value)) + inner


def _number(kind: int, value: int) -> bytes:
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _control(kind, len(raw)) + raw


def _control(kind: int, size: int) -> bytes:
    """Encode type and size, of which sizes up to 284 are enough here."""
    assert size <= LONG_MAX
    short = min(size, LONG)
    more = bytes([size - LONG]) if size >= LONG else b""
    if kind < EXTENDED_FROM:
        return bytes([kind << 5 | short]) + more
    return bytes([short, kind - 7]) + more
