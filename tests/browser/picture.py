"""Reads the PNG files that a browser writes: 8 bits, RGB or RGBA, not interlaced."""

import struct
import zlib


def read(path):
    """(width, height, rows): every row is a list of (r, g, b)."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", path
    at, body, width, height, n = 8, b"", 0, 0, 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        part = data[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", part[:10])
            assert depth == 8 and colour in (2, 6), (depth, colour)
            n = 3 if colour == 2 else 4
        elif kind == b"IDAT":
            body += part
        at += size + 12
    return width, height, _rows(zlib.decompress(body), width, height, n)


def _rows(raw, width, height, n):
    stride, above, rows = width * n, bytearray(width * n), []
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        for i in range(stride if kind else 0):
            left, up, corner = (line[i - n], above[i], above[i - n]) if i >= n else (0, above[i], 0)
            if kind == 1:
                line[i] = (line[i] + left) & 255
            elif kind == 2:
                line[i] = (line[i] + up) & 255
            elif kind == 3:
                line[i] = (line[i] + (left + up) // 2) & 255
            else:
                guess = left + up - corner
                distance = [abs(guess - left), abs(guess - up), abs(guess - corner)]
                line[i] = (line[i] + (left, up, corner)[distance.index(min(distance))]) & 255
        rows.append([tuple(line[i : i + 3]) for i in range(0, stride, n)])
        above = line
    return rows


def statistics(path):
    """{"colours": how many different ones, "light": mean lightness in [0, 1], "most": share of the commonest colour}."""
    width, height, rows = read(path)
    counts = {}
    for row in rows:
        for pixel in row:
            counts[pixel] = counts.get(pixel, 0) + 1
    light = sum(n * (0.2126 * r + 0.7152 * g + 0.0722 * b) for (r, g, b), n in counts.items()) / (255 * width * height)
    return {"colours": len(counts), "light": light, "most": max(counts.values()) / (width * height)}
