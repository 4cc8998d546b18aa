"""TensorFlow's tensor bundles, read with numpy: `NAME.index`, a sorted string table, says where in
`NAME.data-*` each tensor lies.

The table is LevelDB's: blocks of entries whose keys share prefixes, found through an index block
whose place stands in the last 48 bytes.  The entries are protocol buffers (`BundleEntryProto`).
"""

from pathlib import Path

import numpy as np

MAGIC = 0xDB4775248B80FB57
DTYPES = {1: np.float32, 2: np.float64, 3: np.int32, 9: np.int64}


class BundleError(RuntimeError):
    """A tensor bundle that is damaged or of a kind that is not read here."""


def read(prefix: Path) -> dict[str, np.ndarray]:
    """The numeric tensors of the bundle whose files begin with `prefix`, by their names.

    Raises FileNotFoundError for a missing file, BundleError for one that cannot be understood.
    """
    raw = Path(f"{prefix}.index").read_bytes()
    try:
        found = {}
        for key, value in table(raw).items():
            if key:  # The empty key is the header.
                entry = fields(value)
                if entry.get(1, [0])[0] in DTYPES:
                    found[key.decode()] = tensor(prefix, entry)
        return found
    except (IndexError, KeyError, UnicodeDecodeError) as problem:
        raise BundleError(f"{prefix}.index is damaged ({problem}): fetch it again") from None


def tensor(prefix: Path, entry: dict[int, list]) -> np.ndarray:
    """The tensor that an entry describes: data type, shape, shard, offset and size in bytes."""
    dtype = DTYPES[entry[1][0]]
    dims = fields(entry[2][0]).get(2, []) if 2 in entry else []
    shape = tuple(fields(dim).get(1, [0])[0] for dim in dims)
    shard, offset, size = (entry.get(number, [0])[0] for number in (3, 4, 5))
    (path,) = Path(prefix).parent.glob(f"{Path(prefix).name}.data-{shard:05d}-of-*")
    with open(path, "rb") as file:
        file.seek(offset)
        raw = file.read(size)
    if len(raw) != size or size != np.dtype(dtype).itemsize * int(np.prod(shape, dtype=int)):
        raise BundleError(f"{path} ends before its tensors do: fetch it again")
    return np.frombuffer(raw, dtype).reshape(shape)


def table(raw: bytes) -> dict[bytes, bytes]:
    """All entries of a sorted string table."""
    if len(raw) < 48 or int.from_bytes(raw[-8:], "little") != MAGIC:
        raise BundleError("this is no table of a tensor bundle: expected an .index file")
    at = len(raw) - 48
    for _ in range(2):  # The handle of the meta index, which is of no use here.
        _, at = varint(raw, at)
    place, at = varint(raw, at)
    size, _ = varint(raw, at)
    found = {}
    for _, handle in block(raw, place, size):
        start, after = varint(handle, 0)
        found |= dict(block(raw, start, varint(handle, after)[0]))
    return found


def block(raw: bytes, start: int, size: int) -> list[tuple[bytes, bytes]]:
    """The entries of a block; each key begins with a part of the one before."""
    if raw[start + size] != 0:
        raise BundleError("the table is compressed: only plain ones are read here")
    content = raw[start : start + size]
    end = size - 4 * (1 + int.from_bytes(content[-4:], "little"))
    at, key, found = 0, b"", []
    while at < end:
        shared, at = varint(content, at)
        own, at = varint(content, at)
        length, at = varint(content, at)
        key = key[:shared] + content[at : at + own]
        found.append((key, content[at + own : at + own + length]))
        at += own + length
    return found


def fields(message: bytes) -> dict[int, list]:
    """The fields of a protocol buffer by number: integers, or bytes for what is nested."""
    found: dict[int, list] = {}
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(message, at)
        elif kind == 2:
            length, at = varint(message, at)
            value, at = message[at : at + length], at + length
        else:  # Fixed 32 or 64 bits.
            length = {5: 4, 1: 8}[kind]
            value, at = message[at : at + length], at + length
        found.setdefault(tag >> 3, []).append(value)
    return found


def varint(raw: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
