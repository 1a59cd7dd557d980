"""Reads an audit log with nobody's code but the standards': Ed25519 by cryptography, RFC 8785 by rfc8785, the
Merkle tree of RFC 6962 by pymerkle. Accepts the log in DIRECTORY, then rejects it in every way in which it can
be changed.

    verify_log.py DIRECTORY KEY KEPT-CHECKPOINT
"""
import base64
import glob
import hashlib
import json
import os
import random
import sys
import warnings

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pymerkle import InmemoryTree

warnings.simplefilter("ignore")


class Rejected(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Rejected(why)


def open_note(note, key):
    """C2SP signed-note: the text, when `key` has signed it."""
    name, identifier, encoded = key.split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    need(raw[0] == 1, "not an Ed25519 key")
    whole = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    need(whole.hex() == identifier, "the identifier is another key's")
    text, blank, signatures = note.rpartition(b"\n\n")
    need(blank, "no signatures")
    text += b"\n"
    for line in signatures.decode().splitlines():
        dash, signer, signature = line.split(" ")
        need(dash == "\u2014", "not a signature line")
        signature = base64.b64decode(signature, validate=True)
        if signer != name or signature[:4] != whole:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(raw[1:]).verify(signature[4:], text)
        except InvalidSignature as error:
            raise Rejected("the signature is wrong") from error
        return text.decode(), name
    raise Rejected("not signed by this key")


def checkpoint(note, key):
    text, name = open_note(note, key)
    origin, size, root, end = text.split("\n")
    need(origin == name and end == "", "not a checkpoint")
    return int(size), base64.b64decode(root, validate=True)


def canonical(line, index):
    def unique(pairs):
        need(len({name for name, _ in pairs}) == len(pairs), "a member twice")
        return dict(pairs)

    try:
        entry = json.loads(line, object_pairs_hook=unique)
        need(rfc8785.dumps(entry) == line, "not canonical")
    except (ValueError, rfc8785.CanonicalizationError) as error:
        raise Rejected("not JSON") from error
    need(sorted(entry) == ["data", "index", "kind", "time"], "not an entry")
    need(entry["index"] == index, "another index")


def verify(lines, note, key, kept=(), strict=True):
    size, root = checkpoint(note, key)
    need(len(lines) == size, "another number of entries")
    need(all(old_size <= size for old_size, _ in kept), "shorter than it was")
    tree = InmemoryTree(algorithm="sha256")
    for index, line in enumerate(lines):
        if strict:
            canonical(line, index)
        tree.append_entry(line)
        for old_size, old_root in kept:
            if old_size == index + 1:
                need(tree.get_root() == old_root, "another beginning")
    need(tree.get_root() == root, "another root")


def read(directory):
    lines = []
    for segment in sorted(glob.glob(glob.escape(directory) + "/entries.*.jsonl")):
        with open(segment, "rb") as file:
            text = file.read()
        need(text.endswith(b"\n") or not text, "a torn line")
        lines += text.split(b"\n")[:-1]
    return lines


def newest(directory, key):
    notes = []
    for slot in (0, 1):
        path = f"{directory}/checkpoint.{slot}"
        if os.path.exists(path):
            with open(path, "rb") as file:
                notes.append(file.read())
    return max(notes, key=lambda note: checkpoint(note, key)[0])


def rejects(what, *arguments, **options):
    try:
        verify(*arguments, **options)
    except (Rejected, ValueError):
        return
    sys.exit(f"accepted: {what}")


def main():
    directory, key, kept_file = sys.argv[1:]
    lines = read(directory)
    note = newest(directory, key)
    with open(kept_file, "rb") as file:
        kept_note = file.read()
    kept = [checkpoint(kept_note, key)]
    verify(lines, note, key, kept)

    # Without the check of the form: what is rejected, the signature alone rejects.
    chance = random.Random(1)
    whole = b"\n".join(lines) + b"\n"
    for _ in range(1000):
        bit = chance.randrange(len(whole) * 8)
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        rejects(f"bit {bit}", bytes(changed).split(b"\n")[:-1], note, key, strict=False)
    for index in range(len(lines)):
        rejects("removed", lines[:index] + lines[index + 1:], note, key, strict=False)
        rejects("twice", lines[:index + 1] + lines[index:], note, key, strict=False)
        rejects("inserted", lines[:index] + [b'{"data":{}}'] + lines[index:], note, key, strict=False)
        entry = json.loads(lines[index])
        entry["data"]["rule"] = "forged"
        forged = lines[:index] + [rfc8785.dumps(entry)] + lines[index + 1:]
        rejects("forged", forged, note, key)
        if index:
            swapped = list(lines)
            swapped[index - 1], swapped[index] = swapped[index], swapped[index - 1]
            rejects("swapped", swapped, note, key, strict=False)
    # Who has the key can sign a shorter log; only what was kept elsewhere tells.
    size = kept[0][0]
    verify(lines[:size], kept_note, key)
    rejects("cut", lines[:size], kept_note, key, [checkpoint(note, key)])
    rejects("another log", lines, note, key, [(size, hashlib.sha256(b"other").digest())])
    print("accepted", len(lines))


main()
