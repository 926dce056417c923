#!/usr/bin/env python3
"""Writes isal_vectors.txt: parity computed by Intel ISA-L (Debian package libisal2).

The Rust tests compare `src/codec` with these lines, so that a second implementation
vouches for the bytes on disk. Run it again only to add cases: the output never changes.

Line: k m len crc32(data), then for each parity cell crc32(cell):first 32 bytes in hexadecimal.
Data cells come from the generator `data_cell`, small enough to write again in any language.
"""
import ctypes
import os
import zlib

GEOMETRIES = [(1, 1), (2, 1), (2, 2), (4, 2), (8, 3), (8, 4)]
LENGTHS = [64, 128, 4160, 16384, 65536]


def data_cell(k, m, length, column):
    """Bytes of an LCG: state = state * 6364136223846793005 + 1442695040888963407, top byte."""
    state = (k << 48) ^ (m << 40) ^ (length << 8) ^ column
    out = bytearray(length)
    for i in range(length):
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        out[i] = state >> 56
    return bytes(out)


def main():
    isal = ctypes.CDLL("libisal.so.2")
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "isal_vectors.txt"), "w") as out:
        for k, m in GEOMETRIES:
            matrix = ctypes.create_string_buffer((k + m) * k)
            isal.gf_gen_cauchy1_matrix(matrix, k + m, k)
            tables = ctypes.create_string_buffer(32 * k * m)
            isal.ec_init_tables(k, m, ctypes.byref(matrix, k * k), tables)
            for length in LENGTHS:
                cells = [data_cell(k, m, length, column) for column in range(k)]
                data = [ctypes.create_string_buffer(cell, length) for cell in cells]
                parity = [ctypes.create_string_buffer(length) for _ in range(m)]
                pointers = ctypes.POINTER(ctypes.c_char)
                sources = (pointers * k)(*[ctypes.cast(d, pointers) for d in data])
                targets = (pointers * m)(*[ctypes.cast(p, pointers) for p in parity])
                isal.ec_encode_data(length, k, m, tables, sources, targets)
                crc = zlib.crc32(b"".join(cells))
                sums = " ".join(f"{zlib.crc32(p.raw):08x}:{p.raw[:32].hex()}" for p in parity)
                out.write(f"{k} {m} {length} {crc:08x} {sums}\n")


main()
