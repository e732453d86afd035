"""Prints one book of the R package janeaustenr as plain text, without R: austen.py RDATA_STEM BOOK.

The package keeps its data in R's lazy-load format: STEM.rdx (a compressed index of offsets) and STEM.rdb
(compressed values). Values are R's XDR serialisation; only the few types that a vector of strings needs are read.
"""

import struct
import sys
import zlib


class Values:
    """R's XDR stream. A list becomes a Python list, an attributed list a dict by its names."""

    def __init__(self, data: bytes):
        assert data[:2] == b"X\n", "not an R XDR stream"
        self.data, self.at, self.refs = data, 2, []
        version, _, _ = (self.int() for _ in range(3))  # of the format, of R, of the oldest reader
        if version == 3:
            name_len = self.int()  # of the native encoding
            self.at += name_len

    def int(self) -> int:
        self.at += 4
        return struct.unpack_from(">i", self.data, self.at - 4)[0]

    def read(self):
        flags = self.int()
        kind, attributes = flags & 0xFF, flags & 0x200
        if kind == 254:  # NULL
            return None
        if kind == 255:  # a symbol seen before
            return self.refs[(flags >> 8) - 1]
        if kind == 1:  # symbol
            self.refs.append(self.read())
            return self.refs[-1]
        if kind == 2:  # a pairlist, here only ever attributes: name -> value
            pairs = {}
            while kind == 2:
                name = self.read() if flags & 0x400 else None
                pairs[name] = self.read()
                flags = self.int()
                kind = flags & 0xFF
            return pairs
        size = self.int()
        if kind == 9:  # one string; -1 is NA
            self.at += max(size, 0)
            return self.data[self.at - size : self.at].decode() if size >= 0 else None
        if kind in (10, 13):  # logicals, integers
            value = [self.int() for _ in range(size)]
        elif kind in (16, 19):
            value = [self.read() for _ in range(size)]
        else:
            raise ValueError(f"R type {kind} is not read here")
        names = (self.read() or {}).get("names") if attributes else None
        return dict(zip(names, value)) if names else value


def main(stem: str, book: str) -> None:
    with open(stem + ".rdx", "rb") as index_file, open(stem + ".rdb", "rb") as value_file:
        index = Values(zlib.decompress(index_file.read(), 31)).read()
        offset, length = index["variables"][book]
        value_file.seek(offset)
        lines = Values(zlib.decompress(value_file.read(length)[4:])).read()  # 4 bytes: the unpacked size
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    print("\n".join(line.rstrip() for line in lines).strip())


main(*sys.argv[1:])
