# SPDX-License-Identifier: MIT
"""Bytes to transfer: no two blocks of them alike, so that none can be lost, doubled or swapped."""
import hashlib
import random

BLOCK = 1 << 20


def blocks(size):
    base = random.Random(size).randbytes(BLOCK)
    for i in range(0, size, BLOCK):
        at = i // BLOCK * 7919 % BLOCK
        yield (base[at:] + base[:at])[: size - i]


def make_payload(path, size):
    """Writes a file of that size; returns its SHA-256."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for block in blocks(size):
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


def hash_of(read):
    """SHA-256 and length of what a function like recv_into delivers."""
    digest, total = hashlib.sha256(), 0
    view = memoryview(bytearray(1 << 18))
    while n := read(view):
        digest.update(view[:n])
        total += n
    return digest.hexdigest(), total
