# SPDX-License-Identifier: MIT
"""As much of PNG as pages and screenshots need: one colour in, pixels out."""
import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TRUE_COLOUR, TRUE_COLOUR_ALPHA = 2, 6


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def solid(width, height, colour):
    """An image of one colour, (red, green, blue)."""
    header = struct.pack(">IIBBBBB", width, height, 8, TRUE_COLOUR, 0, 0, 0)
    rows = (b"\0" + bytes(colour) * width) * height
    return (SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows))
            + _chunk(b"IEND", b""))  # fmt: skip


def _paeth(a, b, c):
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


class Picture:
    """The pixels of an image with 8 bits a channel that is not interlaced."""

    def __init__(self, data):
        assert data.startswith(SIGNATURE), data[:16]
        at, packed = len(SIGNATURE), b""
        while at < len(data):
            length, kind = struct.unpack_from(">I4s", data, at)
            body = data[at + 8 : at + 8 + length]
            assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
            if kind == b"IHDR":
                self.width, self.height, *form = struct.unpack(">IIBBBBB", body)
            elif kind == b"IDAT":
                packed += body
            at += 12 + length
        assert form in ([8, TRUE_COLOUR, 0, 0, 0], [8, TRUE_COLOUR_ALPHA, 0, 0, 0]), form
        self.channels = 3 if form[1] == TRUE_COLOUR else 4
        self.rows = self._unfilter(zlib.decompress(packed))

    def _unfilter(self, data):
        n, size = self.channels, self.width * self.channels
        above, rows = bytes(size), []
        for at in range(0, len(data), size + 1):
            kind, row = data[at], bytearray(data[at + 1 : at + 1 + size])
            for i in range(size) if kind else ():
                left, up = row[i - n] if i >= n else 0, above[i]
                corner = above[i - n] if i >= n else 0
                guess = (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]
                row[i] = (row[i] + guess) & 255
            rows.append(row)
            above = row
        return rows

    def pixel(self, x, y):
        """Its (red, green, blue)."""
        at = x * self.channels
        return tuple(self.rows[y][at : at + 3])
