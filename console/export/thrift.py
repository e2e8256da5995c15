"""Thrift's compact protocol, as much as the footer of a Parquet file needs: read, change, write.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md. A
struct is a dict of field number to value, with its type, so that what we don't know is written
back as it was.
"""

from typing import Any, Final, NamedTuple

TRUE: Final = 1
FALSE: Final = 2
BYTE: Final = 3
I16: Final = 4
I32: Final = 5
I64: Final = 6
DOUBLE: Final = 7
BINARY: Final = 8
LIST: Final = 9
SET: Final = 10
STRUCT: Final = 12
_SHORT: Final = 15  # lists shorter than this, and steps of field numbers up to this, in one byte
_SEVEN: Final = 0x7F
_DOUBLE_BYTES: Final = 8


class Value(NamedTuple):
    """A value with its type; of a list a `List`, of a struct a dict."""

    type: int
    value: Any


class List(NamedTuple):
    """Values of one type; structs may be given as the bytes that `dumps` made of them."""

    type: int
    items: list[Any]


Struct = dict[int, Value]


class Source:
    """Reads one struct from bytes of our own making; what is not thrift raises an error."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def struct(self) -> Struct:
        """Read a struct."""
        found: Struct = {}
        number = 0
        while head := self._byte():
            step, kind = head >> 4, head & 0x0F
            number = number + step if step else self._zigzag()
            found[number] = Value(kind, self._value(kind))
        return found

    def _value(self, kind: int) -> object:
        if kind in (TRUE, FALSE):
            return kind == TRUE
        read = {
            BYTE: self._byte,
            I16: self._zigzag,
            I32: self._zigzag,
            I64: self._zigzag,
            DOUBLE: lambda: self._take(_DOUBLE_BYTES),
            BINARY: lambda: self._take(self._varint()),
            LIST: self._list,
            SET: self._list,
            STRUCT: self.struct,
        }.get(kind)
        if read is None:
            raise ValueError(f"a type of thrift that Parquet does not use: {kind}")
        return read()

    def _list(self) -> List:
        head = self._byte()
        size, item = head >> 4, head & 0x0F
        size = self._varint() if size == _SHORT else size
        if item in (TRUE, FALSE):
            return List(item, [self._byte() for _ in range(size)])
        return List(item, [self._value(item) for _ in range(size)])

    def _byte(self) -> int:
        self._at += 1
        return self._body[self._at - 1]

    def _take(self, size: int) -> bytes:
        self._at += size
        return self._body[self._at - size : self._at]

    def _varint(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & _SEVEN) << shift
            if byte <= _SEVEN:
                return found
            shift += 7

    def _zigzag(self) -> int:
        found = self._varint()
        return (found >> 1) ^ -(found & 1)


def dumps(struct: Struct) -> bytes:
    """Return a struct's bytes; the inverse of `Source.struct`."""
    out = bytearray()
    _put_struct(out, struct)
    return bytes(out)


def _put_struct(out: bytearray, struct: Struct) -> None:
    before = 0
    for number, field in sorted(struct.items()):
        kind, value = field
        written = (TRUE if value else FALSE) if kind in (TRUE, FALSE) else kind
        step = number - before
        if 0 < step <= _SHORT:
            out.append(step << 4 | written)
        else:
            out.append(written)
            _put_zigzag(out, number)
        before = number
        if kind not in (TRUE, FALSE):
            _put(out, field)
    out.append(0)


def _put(out: bytearray, field: Value) -> None:
    kind, value = field
    if kind in (TRUE, FALSE, BYTE):
        out.append(value)
    elif kind in (I16, I32, I64):
        _put_zigzag(out, value)
    elif kind == BINARY:
        _put_varint(out, len(value))
        out += value
    elif kind in (LIST, SET):
        _put_list(out, value)
    elif isinstance(value, bytes):  # a double, or a struct written before
        out += value
    else:
        _put_struct(out, value)


def _put_list(out: bytearray, found: List) -> None:
    size = len(found.items)
    if size < _SHORT:
        out.append(size << 4 | found.type)
    else:
        out.append(_SHORT << 4 | found.type)
        _put_varint(out, size)
    for item in found.items:
        _put(out, Value(found.type, item))


def _put_varint(out: bytearray, value: int) -> None:
    while value > _SEVEN:
        out.append(value & _SEVEN | 0x80)
        value >>= 7
    out.append(value)


def _put_zigzag(out: bytearray, value: int) -> None:
    _put_varint(out, (value << 1) ^ (value >> 63))
