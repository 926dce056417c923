#!/usr/bin/env python3
"""Known answers of SOV1, from a second implementation: PyPI's `cryptography`, no code of ours.

    python3 -m venv .venv && .venv/bin/pip install 'cryptography>=50'
    .venv/bin/python crypto/vectors/generate.py > crypto/vectors/sov1.json

The part streams are also opened by `cryptography.cobblestone`, its authors' own implementation of
C2SP chunked-encryption. Written from docs/formats/sov1.md; all integers are big-endian.
"""
import hashlib
import hmac
import json
import struct

from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

CHUNK = 16384


def draw(label, n):
    """Stand-in for random bytes, the same at every run."""
    return hashlib.shake_256(b"sov1 vectors " + label.encode()).digest(n)


def pattern(n):
    """The plaintext of a vector, so that it need not be stored."""
    return bytes((i * 131 + (i >> 8)) & 255 for i in range(n))


def expand(prk, info, n):
    return HKDFExpand(SHA512(), n, info).derive(prk)


def hkdf(salt, ikm, info, n):
    return HKDF(SHA512(), n, salt, info).derive(ikm)


def lp(x):
    return struct.pack(">I", len(x)) + x


def u32(x):
    return struct.pack(">I", x)


def u64(x):
    return struct.pack(">Q", x)


# Part streams

def seal_part(ok, mode, uuid, number, salt, plain):
    context = b"SOV1" + b"\x01" + mode + b"\0\0" + uuid + u32(number) + b"\0" * 4
    label = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"
    out = expand(ok, label + salt + context, 32 + 12 + 32)
    key, base, commitment = AESGCM(out[:32]), int.from_bytes(out[32:44], "big"), out[44:]
    chunks = b""
    for k in range(len(plain) // CHUNK + 1):
        nonce = (base ^ k).to_bytes(12, "big")
        chunks += key.encrypt(nonce, plain[k * CHUNK:(k + 1) * CHUNK], None)

    theirs = Cobblestone256Decryptor(ok, context)
    assert theirs.update(salt + commitment + chunks) + theirs.finalize() == plain
    return context + salt + commitment + chunks


# Wraps

def wrap(mode, root, ok, bucket, name, version, uuid, salt):
    ctx = lp(b"sov1") + lp(mode) + lp(bucket) + lp(name) + lp(version) + lp(uuid)
    out = hkdf(salt, root, b"sov1/wrap" + ctx, 64)
    kek, check = out[:32], out[32:]
    header = b"SOVw" + b"\x01" + mode + b"\x01\0" + salt + check
    envelope = b"SOVe" + b"\x01\0\0\0" + u64(0) + bytes(16)
    return envelope + header + AESGCM(kek).encrypt(bytes(12), ok, header)


def epoch_seal(epoch_key, epoch, wrap_id, record):
    envelope = b"SOVe" + b"\x01\x01\0\0" + u64(epoch) + wrap_id
    key = hkdf(wrap_id, epoch_key, b"sov1/epoch", 32)
    return envelope + AESGCM(key).encrypt(bytes(12), record[32:], envelope)


# Boxes and manifest

def box(kind, key, salt, plain):
    header = bytes([1, kind, 0, 0]) + salt
    return header + AESGCM(key).encrypt(bytes(12), plain, header)


def seal_metadata(ok, salt, label, plain):
    key = expand(expand(ok, b"sov1/meta", 32), b"sov1/box\0" + salt + lp(label), 32)
    return box(1, key, salt, plain)


def seal_secret(operator, salt, label, plain):
    return box(2, hkdf(salt, operator, b"sov1/secret\0" + lp(label), 32), salt, plain)


def seal_pending(operator, salt, label, ok):
    plain = expand(ok, b"sov1/manifest", 32) + expand(ok, b"sov1/meta", 32)
    return box(3, hkdf(salt, operator, b"sov1/pending\0" + lp(label), 32), salt, plain)


def encode_part(number, salt, commitment, plain_len):
    return u32(number) + salt + commitment + u64(plain_len)


def manifest_mac(ok, parts, total, metadata_hash):
    message = b"SOVm" + b"\x01\0\0\0" + u64(len(parts)) + u64(total) + metadata_hash
    message += b"".join(encode_part(*part) for part in parts)
    return hmac.new(expand(ok, b"sov1/manifest", 32), message, "sha512").digest()[:32]


# Export

def export(mode, root, ok, name, metadata, lengths):
    bucket, version, uuid = draw("xb", 16), draw("xv", 16), draw("xu", 16)
    record = wrap(mode, root, ok, bucket, name, version, uuid, draw("xw", 32))
    sealed = seal_metadata(ok, draw("xm", 32), b"version", metadata)
    parts, blobs, plain, at = [], b"", pattern(sum(lengths)), 0
    for i, n in enumerate(lengths):
        number = i + 1 if len(lengths) > 1 else 0
        salt = draw(f"xs{i}", 24)
        blob = seal_part(ok, mode, uuid, number, salt, plain[at:at + n])
        parts.append((number, salt, blob[56:88], n))
        blobs, at = blobs + blob, at + n
    mac = manifest_mac(ok, parts, len(plain), hashlib.sha256(sealed).digest())
    front = b"SOV1EXPT" + b"\0\x01" + mode + b"\0" + u32(len(parts))
    front += bucket + version + uuid + mac + lp(name) + lp(record) + lp(sealed)
    return front + b"".join(encode_part(*part) for part in parts) + blobs


def show(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: show(v) for key, v in value.items()}
    return [show(v) for v in value] if isinstance(value, list) else value


def vectors():
    ok, client, operator = draw("ok", 32), draw("client", 32), draw("operator", 32)
    uuid, bucket, version = draw("uuid", 16), draw("bucket", 16), draw("version", 16)

    streams = []
    for mode, number, n in [(b"C", 0, 0), (b"O", 1, 1), (b"H", 10000, 100), (b"G", 2, 16383),
                            (b"C", 3, 16384), (b"O", 4, 16385), (b"C", 0, 100000)]:
        salt = draw(f"salt {n}", 24)
        sealed = seal_part(ok, mode, uuid, number, salt, pattern(n))
        streams.append(dict(object_key=ok, mode=mode.decode(), object_uuid=uuid,
                            part_number=number, salt=salt, plain_len=n, header=sealed[:88],
                            sealed_sha256=hashlib.sha256(sealed).digest(),
                            sealed=sealed if n <= 100 else b""))

    wraps = []
    for mode, root, name, v in [(b"C", client, "rapport/été 2026.pdf".encode(), version),
                                (b"O", operator, b"a", bytes(16)), (b"C", client, b"", version)]:
        salt = draw("wrap" + name.hex(), 32)
        record = wrap(mode, root, ok, bucket, name, v, uuid, salt)
        epoch_key, wrap_id = draw("epoch", 32), draw("wrap id" + name.hex(), 16)
        wraps.append(dict(mode=mode.decode(), root_key=root, object_key=ok, bucket=bucket,
                          key_name=name, version_id=v, object_uuid=uuid, salt=salt, record=record,
                          epoch_key=epoch_key, epoch=260, wrap_id=wrap_id,
                          epoch_sealed=epoch_seal(epoch_key, 260, wrap_id, record)))

    salt, label, plain = draw("box", 32), b"version", b"content-type: text/plain"
    boxes = dict(object_key=ok, operator_key=operator, salt=salt, label=label, plain=plain,
                 metadata=seal_metadata(ok, salt, label, plain),
                 metadata_empty=seal_metadata(ok, salt, b"", b""),
                 secret=seal_secret(operator, salt, label, plain),
                 pending=seal_pending(operator, salt, label, ok))

    manifests = []
    for count in (0, 1, 3):
        parts = [(i + 1, draw(f"ps{i}", 24), draw(f"pc{i}", 32), i << 33) for i in range(count)]
        total, digest = sum(part[3] for part in parts), draw("digest", 32)
        manifests.append(dict(object_key=ok, total_len=total, metadata_hash=digest, parts=[
            dict(number=p[0], salt=p[1], commitment=p[2], plain_len=p[3]) for p in parts],
            mac=manifest_mac(ok, parts, total, digest)))

    exports = [
        dict(root_key=client, key_name=b"kept/one", metadata=b"m1", plain_len=20000,
             export=export(b"C", client, ok, b"kept/one", b"m1", [20000])),
        dict(root_key=operator, key_name=b"kept/parts", metadata=b"", plain_len=600,
             export=export(b"O", operator, ok, b"kept/parts", b"", [500, 0, 100])),
    ]
    return dict(part_streams=streams, wraps=wraps, boxes=boxes, manifests=manifests,
                exports=exports)


print(json.dumps(show(vectors()), indent=1))
