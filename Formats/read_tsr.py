#!/usr/bin/env python3
"""Second reader of Tessera weight files, written from TSR.md in the order of its sections.

    read_tsr.py FILE...            one JSON object per line and file; exit status 65 if any is invalid
    read_tsr.py --tensor NAME FILE the values of one tensor as JSON rows

As a module: `read(path)` returns the description, `values(data, tensor)` an f32 array [rows, columns].
"""
import ctypes
import ctypes.util
import json
import os
import struct
import sys

try:
    import numpy as np
except ImportError:
    sys.exit("read_tsr.py: numpy is missing; install python3-numpy")

RULES = """fileTooShort magic version headerChecksum headerReserved fileSize sectionLayout metadataChecksum
metadataPadding configSize configReserved configText configShape configNumbers blockDecoding tokenizerSize
tokenizerReserved tokenOffsets tokenKinds merges tokenIDs tokenizerText templateText directorySize tensorName
tensorShape tensorEncoding tensorStorage tensorTiling tensorPlacement tileTable fileEnd tensorSet tileChecksum
dataPadding values tileCoding layers drafter""".split()


class Invalid(Exception):
    """A broken rule of section 12."""

    def __init__(self, rule, offset, message=""):
        super().__init__(f"rule {RULES.index(rule) + 1} ({rule}) at byte {offset} {message}")
        self.rule, self.offset = rule, offset


def need(condition, rule, offset, message=""):
    if not condition:
        raise Invalid(rule, offset, message)


# 3. Conventions

def up(x, a):
    return (x + a - 1) // a * a


M64 = (1 << 64) - 1
P1, P2, P3, P4, P5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
                      0x27D4EB2F165667C5)


def rotate(x, bits):
    return (x << bits | x >> (64 - bits)) & M64


def mix(lane, word):
    return rotate((lane + word * P2) & M64, 31) * P1 & M64


def xxh64(data):
    size, at = len(data), 0
    if size >= 32:
        lanes = [(P1 + P2) & M64, P2, 0, -P1 & M64]
        at = size // 32 * 32
        for stripe in struct.iter_unpack("<4Q", data[:at]):
            lanes = [mix(lane, word) for lane, word in zip(lanes, stripe)]
        h = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18))) & M64
        for lane in lanes:
            h = ((h ^ mix(0, lane)) * P1 + P4) & M64
    else:
        h = P5
    h = (h + size) & M64
    while size - at >= 8:
        h = (rotate(h ^ mix(0, int.from_bytes(data[at:at + 8], "little")), 27) * P1 + P4) & M64
        at += 8
    if size - at >= 4:
        h = (rotate(h ^ int.from_bytes(data[at:at + 4], "little") * P1 & M64, 23) * P2 + P3) & M64
        at += 4
    for byte in data[at:]:
        h = rotate(h ^ byte * P5 & M64, 11) * P1 & M64
    h = (h ^ h >> 33) * P2 & M64
    h = (h ^ h >> 29) * P3 & M64
    return h ^ h >> 32


class Section:
    """Fields of one structure in file order."""

    def __init__(self, data, offset, size, rule):
        self.data, self.base, self.rule = data[offset:offset + size], offset, rule
        self.at = 0

    def take(self, size):
        need(self.at + size <= len(self.data), self.rule, self.base, "is too short")
        self.at += size
        return self.data[self.at - size:self.at]

    def read(self, form):
        values = struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))
        return values[0] if len(values) == 1 else values

    def array(self, dtype, count):
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype)

    def text(self, size, rule):
        start, data = self.base + self.at, self.take(size)
        try:
            return bytes(data).decode("utf-8")
        except UnicodeDecodeError:
            raise Invalid(rule, start, "is not UTF-8") from None

    def zeros(self, size, rule):
        need(not any(self.take(size)), rule, self.base + self.at - size, "is not zero")

    def finish(self, rule=None):
        need(self.at == len(self.data), rule or self.rule, self.base, "is too long")


# 4. Header

def read_header(data):
    need(len(data) >= 192, "fileTooShort", 0)
    fields = Section(data, 0, 192, "fileTooShort")
    need(bytes(fields.take(8)) == b"\x89TSR\r\n\x1a\n", "magic", 0)
    need(fields.read("I") == 2, "version", 8)
    fields.read("I")
    need(xxh64(data[:184]) == struct.unpack_from("<Q", data, 184)[0], "headerChecksum", 184)
    header = {"fileBytes": fields.read("Q"), "dataOffset": fields.read("Q")}
    header["sections"] = [fields.read("QQ") for _ in range(5)]
    header["tensorCount"], header["tileCount"], checksum = fields.read("IIQ")
    fields.zeros(32, "headerReserved")
    fields.take(24)
    header["identity"] = fields.read("Q")
    need(header["fileBytes"] == len(data), "fileSize", 16, f"says {header['fileBytes']}")
    end = 192
    for index, (offset, size) in enumerate(header["sections"]):
        need(offset == up(end, 16) and offset + size <= 64 << 20, "sectionLayout", 32 + 16 * index)
        end = offset + size
    start = header["dataOffset"]
    need(start == up(end, 16384) and start <= len(data) <= 1 << 46, "sectionLayout", 24)
    need(xxh64(data[192:start]) == checksum, "metadataChecksum", 120)
    end = 192
    for offset, size in header["sections"] + [(start, 0)]:
        need(not any(data[end:offset]), "metadataPadding", end)
        end = offset + size
    return header


# 5. Model configuration

SIZES = dict(hiddenSize=1 << 20, intermediateSize=1 << 20, layerCount=4096, headCount=4096, kvHeadCount=4096,
             headDim=1024, vocabularySize=1 << 22, maxPositions=1 << 30)
TINY = 2.0 ** -126


def read_table(fields, half, is_last):
    at = fields.base + fields.at
    longest, factor = fields.read("If")
    frequencies = fields.array("<f8", half).tolist()
    need(longest <= (0 if is_last else 1 << 30), "layers", at)
    need(TINY <= factor <= 1000 and all(0 <= value <= 1000 for value in frequencies), "configNumbers", at)
    return dict(longestContext=longest, attentionFactor=factor, inverseFrequencies=frequencies)


def read_run(fields, tables):
    at = fields.base + fields.at
    count, norms, head_norm, activation, rotary, window, scale, flags = fields.read("IIIIIIfI")
    need(count >= 1 and 1 <= norms <= 3 and head_norm <= 2 and 1 <= activation <= 2, "layers", at)
    need(rotary < tables and window <= 1 << 30 and flags <= 1, "layers", at)
    need(TINY <= scale <= 1000, "configNumbers", at)
    return dict(count=count, norms=norms, queryKeyNorm=head_norm, activation=activation, rotary=rotary, window=window,
                attentionScale=scale, attentionBias=bool(flags & 1))


def read_drafter(fields, config):
    at = fields.base + fields.at
    target_layers, block, mask, rank, flags, confidence, tap_count, token_count = fields.read("8I")
    rows = config["vocabularySize"]
    need(1 <= target_layers <= 4096 and 1 <= block <= 64 and mask < rows and rank <= 4096, "drafter", at)
    need(flags <= 1 and confidence <= (2 if rank else 1) and (flags or block > 1), "drafter", at + 16)
    need(1 <= tap_count <= 64 and token_count <= rows, "drafter", at + 24)
    need(not config["tieWordEmbeddings"] and config["blockDecoding"] is None, "drafter", at)
    taps = [value - 1 for value in fields.array("<u4", tap_count).tolist()]
    need(all(tap < target_layers for tap in taps), "drafter", at + 32)
    tokens = fields.array("<u4", token_count).tolist()
    need(all(a < b for a, b in zip(tokens, tokens[1:] + [rows])), "drafter", at + 32 + 4 * tap_count)
    return dict(targetLayers=target_layers, blockSize=block, maskToken=mask, markovRank=rank, predictsNext=bool(flags & 1),
                confidence=confidence, taps=taps, draftTokens=tokens)


def read_config(data, offset, size):
    fields = Section(data, offset, size, "configSize")
    config = dict(zip(SIZES, fields.read("8I")))
    eps, embedding_scale, flags, beta, original, mask, block, confidence, temperature, top_k, top_p = fields.read("ffIfIIIffIf")
    text_sizes = fields.read("3I")
    run_count, sub_block, table_count = fields.read("3I")
    fields.take(28)
    need(flags < 64, "configReserved", offset + 40, "has unknown flags")
    need(flags & 2 or data[offset + 44:offset + 52] == bytes(8), "configReserved", offset + 44)
    need(flags & 4 or (data[offset + 52:offset + 64] == bytes(12) and not flags & 24), "configReserved", offset + 52)
    need(flags & 4 or not sub_block, "configReserved", offset + 92)
    for index, (name, limit) in enumerate(SIZES.items()):
        need(1 <= config[name] <= limit, "configShape", offset + 4 * index, name)
    need(config["headCount"] % config["kvHeadCount"] == 0, "configShape", offset + 16)
    need(config["headDim"] % 2 == 0, "configShape", offset + 20)
    for value, low, high, at in ((eps, TINY, 1, 32), (embedding_scale, TINY, 65536, 36), (temperature, 0, 100, 64),
                                 (top_k, 0, 1 << 22, 68), (top_p, TINY, 1, 72)):
        need(low <= value <= high, "configNumbers", offset + at)
    config.update(tieWordEmbeddings=bool(flags & 1), rmsNormEps=eps, embeddingScale=embedding_scale, queryScaling=None,
                  blockDecoding=None)
    if flags & 2:
        need(0 <= beta <= 1000 and 1 <= original <= 1 << 30, "configNumbers", offset + 44)
        config["queryScaling"] = dict(beta=beta, originalMaxPositions=original)
    if flags & 4:
        need(mask < config["vocabularySize"] and 1 <= block <= 64 and 0 <= confidence <= 1, "blockDecoding", offset + 52)
        need(sub_block <= block, "blockDecoding", offset + 92)
        config["blockDecoding"] = dict(maskToken=mask, blockSize=block, subBlockSize=sub_block, shiftedLogits=bool(flags & 8),
                                       bidirectionalCommit=bool(flags & 16), confidenceThreshold=confidence)
    config["sampling"] = dict(temperature=temperature, topK=top_k, topP=top_p)
    need(1 <= table_count <= 16, "layers", offset + 96)
    config["rotaryTables"] = [read_table(fields, config["headDim"] // 2, index == table_count - 1) for index in range(table_count)]
    need(1 <= run_count <= config["layerCount"], "layers", offset + 88)
    config["layers"] = runs = [read_run(fields, table_count) for _ in range(run_count)]
    need(sum(run["count"] for run in runs) == config["layerCount"], "layers", offset + 88)
    need(all(dict(one, count=0) != dict(other, count=0) for one, other in zip(runs, runs[1:])), "layers", offset + 88)
    if flags & 32:
        config["drafter"] = read_drafter(fields, config)
    for count, limit, at in zip(text_sizes, (255, 31, 1023), (76, 80, 84)):
        need(count <= limit, "configText", offset + at)
    config["name"], config["modelType"], config["source"] = (fields.text(n, "configText") for n in text_sizes)
    fields.finish()
    return config


# 6. Tokenizer

NONE = 0xFFFFFFFF


def tokenizer_tables(data, offset, size, vocabulary):
    """The section's tables: bytes of the tokens, merges as (left, right, result), kinds, and its single fields."""
    fields = Section(data, offset, size, "tokenizerSize")
    count, merge_count, text_bytes, eos_count, pattern_bytes = fields.read("5I")
    need(count <= vocabulary, "tokenizerSize", offset, "more tokens than embeddings")
    pre, flags = fields.read("II")
    need(1 <= pre <= 6 and flags < 32, "tokenizerReserved", offset + 20)
    ids = fields.read("3I")
    need(all(i < count or i == NONE for i in ids), "tokenIDs", offset + 28)
    space = fields.read("I")
    need(space <= (3 if pre == 6 else 0), "tokenizerReserved", offset + 40)
    fields.zeros(4, "tokenizerReserved")
    offsets = fields.array("<u4", count + 1).astype(np.int64)
    merges = fields.array("<u4", 3 * merge_count).astype(np.int64).reshape(-1, 3)
    shares_rank = merges[:, 0] >> 31
    merges[:, 0] &= 0x7FFFFFFF
    eos = fields.array("<u4", eos_count)
    kinds = fields.array("u1", count)
    is_byte = (kinds == 4) & (np.diff(offsets) == 1)
    kinds, added_flags = np.where(is_byte, 4, kinds & 3), np.where(is_byte, 0, kinds & 252)
    text = bytes(fields.take(text_bytes))
    pattern = fields.text(pattern_bytes, "tokenizerText")
    fields.finish()
    lengths = np.diff(offsets)
    need(offsets[0] == 0 and (lengths >= 0).all() and offsets[-1] == text_bytes, "tokenOffsets", offset + 48)
    need((merges < count).all() and not shares_rank[:1].any(), "merges", offset + 52 + 4 * count)
    parts = lengths[merges] if merge_count else merges
    need((parts[:, 0] + parts[:, 1] == parts[:, 2]).all(), "merges", offset + 52 + 4 * count)
    need((eos < count).all(), "tokenIDs", offset + 52 + 4 * count + 12 * merge_count)
    added = (kinds == 1) | (kinds == 2)
    need(((added_flags == 0) | added & (added_flags < 64)).all(), "tokenKinds", offset + 52 + 4 * (count + eos_count) + 12 * merge_count)
    bos, pad, unknown = (None if i == NONE else i for i in ids)
    tokens = [text[offsets[t]:offsets[t + 1]] for t in range(count)]
    return dict(tokens=tokens, merges=merges, kinds=kinds, preTokenizer=pre, pattern=pattern, flags=flags, bos=bos, pad=pad, spacePrefix=space,
                sharesRank=shares_rank,
                unknown=unknown, eos=eos.tolist(), addedFlags={int(t): int(added_flags[t]) for t in np.flatnonzero(added_flags)})


def read_tokenizer(data, offset, size, vocabulary):
    tables = tokenizer_tables(data, offset, size, vocabulary)
    tokens, merges, flags = tables["tokens"], tables["merges"], tables["flags"]
    rare = {} if flags < 8 else dict(namesBOS=not flags & 8, namesEOS=not flags & 16)
    if tables["addedFlags"]:
        rare["addedFlags"] = {str(t): value for t, value in tables["addedFlags"].items()}
    if tables["preTokenizer"] == 6:
        rare["spacePrefix"] = tables["spacePrefix"]
    if tables["sharesRank"].any():
        rare["sharedRanks"] = np.flatnonzero(tables["sharesRank"]).tolist()
    return dict(rare, tokenCount=len(tokens), mergeCount=len(merges), preTokenizer=tables["preTokenizer"], pattern=tables["pattern"],
                ignoreMerges=bool(flags & 1), normalizesNFC=bool(flags & 2), addsBOS=bool(flags & 4), bosToken=tables["bos"],
                padToken=tables["pad"], unknownToken=tables["unknown"], eosTokens=tables["eos"],
                kindCounts=[int((tables["kinds"] == kind).sum()) for kind in range(5 if (tables["kinds"] == 4).any() else 4)],
                firstTokens=[token.hex() for token in tokens[:8]], firstMerges=merges[:8].tolist(),
                textChecksum=f"{xxh64(b''.join(tokens)):016x}")


# 8. Tensor directory and 9. Tiles

ENCODINGS = dict(enumerate("f32 f16 int8 int4 int4Affine int5 int5Affine int2Nested int3Nested int4Nested int5Nested "
                           "int6Nested".split(), 1))


def code_bits(encoding):
    return int(encoding[3])


def plane_bytes(columns):
    return up(up(columns, 32) // 32 * 32, 64)


def factors(encoding):
    """Numbers per row and super-group."""
    if not encoding.endswith("Nested"):
        return 0
    return 1 if encoding in ("int3Nested", "int6Nested") else 2


def planes_bytes(encoding, columns):
    """Bytes in front of a panel's codes."""
    if factors(encoding):
        return plane_bytes(columns) + up(-(-columns // 256) * 32 * factors(encoding), 64)
    return plane_bytes(columns) * (2 if encoding.endswith("Affine") else 1)


def panel_bytes(encoding, columns):
    if encoding in ("f32", "f16"):
        return columns * (4 if encoding == "f32" else 2)
    return planes_bytes(encoding, columns) + up(columns, 32) * 2 * code_bits(encoding)


def read_tensors(data, header):
    (base, size), (table, table_size) = header["sections"][3:]
    count = header["tensorCount"]
    need(count <= 65535 and 64 * count <= size, "directorySize", base)
    fields = Section(data, base, size, "directorySize")
    names = Section(data, base + 64 * count, size - 64 * count, "tensorName")
    tensors, end, tile, seen = [], header["dataOffset"], 0, set()
    for index in range(count):
        at = base + 64 * index
        name_offset, name_bytes, rows, columns, code, storage, tile_rows, tiles, first, offset, stored = fields.read("IIQQIIIIQQQ")
        need(name_offset == names.at and 1 <= name_bytes <= 255, "tensorName", at)
        name = names.text(name_bytes, "tensorName")
        need(name not in seen, "tensorName", at, f"{name} twice")
        seen.add(name)
        need(1 <= rows <= 1 << 31 and 1 <= columns <= 1 << 31, "tensorShape", at + 8, name)
        need(code in ENCODINGS, "tensorEncoding", at + 24, name)
        need(storage == 0 or storage <= 2 and 3 <= code <= 5 or storage == 4 and code == 3, "tensorStorage", at + 28, name)
        encoding = ENCODINGS[code]
        unit, panel = (1 if code <= 2 else 16), panel_bytes(encoding, columns)
        need(tile_rows > 0 and tile_rows % unit == 0 and panel <= (1 << 25 if storage else 1 << 30)
             and (tile_rows == unit or tile_rows // unit * panel <= 1 << 20), "tensorTiling", at + 32, name)
        need(tiles == -(-rows // tile_rows) and first == tile, "tensorTiling", at + 36, name)
        total = -(-rows // unit) * panel
        need(storage or stored == total, "tensorPlacement", at + 56, name)
        need(offset == up(end, 16384 if total >= 16384 and not storage else 64), "tensorPlacement", at + 48, name)
        padding, end, tile = (end, offset), offset + stored, tile + tiles
        need(end <= len(data), "tensorPlacement", at + 56, name)
        tensors.append(dict(name=name, rows=rows, columns=columns, encoding=encoding, storage=("plain", "zstd", "rans", None, "trellis")[storage],
                            tileRows=tile_rows, tileCount=tiles, offset=offset, byteCount=stored, padding=padding,
                            plainBytes=[min(tile_rows, up(rows, unit) - first) // unit * panel for first in range(0, rows, tile_rows)]))
    names.finish()
    need(tile == header["tileCount"], "tensorTiling", 116)
    need(end == header["fileBytes"], "fileEnd", 16)
    entries = Section(data, table, table_size, "tileTable")
    for tensor in tensors:
        tensor["checksums"] = []
        end = tensor["offset"]
        for plain in tensor["plainBytes"]:
            at, checksum, stored, reserved = entries.read("QQII")
            fits = stored == plain if tensor["storage"] == "plain" else 5 <= stored <= plain + plain // 256 + 1024
            need(fits and (at, reserved) == (end, 0), "tileTable", table + entries.at - 24, tensor["name"])
            tensor["checksums"].append((at, stored, checksum))
            end += stored
        need(end == tensor["offset"] + tensor["byteCount"], "tileTable", table + entries.at, tensor["name"])
    entries.finish()
    return tensors


def frame(data, size, at, name):
    """What one zstd frame holds, which must be `size` bytes."""
    zstd = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    for function in (zstd.ZSTD_findFrameCompressedSize, zstd.ZSTD_decompress):
        function.restype = ctypes.c_size_t
    zstd.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
    count, content = ctypes.c_size_t(len(data)), ctypes.create_string_buffer(max(1, size))
    need(zstd.ZSTD_getFrameContentSize(data, count) == size
         and zstd.ZSTD_findFrameCompressedSize(data, count) == len(data)
         and zstd.ZSTD_decompress(content, ctypes.c_size_t(size), data, count) == size, "tileCoding", at, name)
    return np.frombuffer(content.raw, np.uint8, size)


def rans_table(frequency):
    """The alias table: slots of each bucket that are its own symbol's, the others' symbol, what their ranks exceed theirs by."""
    rest, divide, other, shift = list(frequency), [64] * 64, list(range(64)), [0] * 64
    poor, rich = [s for s in range(64) if rest[s] < 64], 0
    for s in poor:  # which grows
        while rest[rich] <= 64:
            rich += 1
        divide[s], other[s] = rest[s], rich
        rest[rich] -= 64 - rest[s]
        if rest[rich] < 64:
            poor.append(rich)
    ranks = list(divide)
    for b in range(64):
        if divide[b] < 64:
            shift[b] = ranks[other[b]] - divide[b]
            ranks[other[b]] += 64 - divide[b]
    return np.array([divide, other, shift])


def rans(data, size, nibbles, at, name):
    """The `size` bytes of codes that 8 x 16 range coders hold."""
    need(len(data) >= 4, "tileCoding", at, name)
    base, drop, symbols, zero = data[:4]
    part = size * drop // 8
    head = 4 + 2 * symbols + part + 32
    need(drop <= (0 if nibbles else 2) and 1 <= symbols <= (16 if nibbles else 64) and zero == 0 and not (nibbles and base)
         and len(data) >= head, "tileCoding", at, name)
    frequency = np.zeros(64, np.int64)
    frequency[:symbols] = np.frombuffer(data, "<u2", symbols, 4)
    need(frequency.sum() == 4096 and frequency[symbols - 1] > 0, "tileCoding", at, name)
    divide, other, shift = rans_table(frequency.tolist())
    sizes = np.frombuffer(data, "<u4", 8, head - 32).tolist()
    need(min(sizes) >= 64 and head + sum(sizes) == len(data), "tileCoding", at, name)
    steps, streams = size // (64 if nibbles else 128), []
    for count in sizes:
        state, words, next_word = np.frombuffer(data, "<u4", 16, head).astype(np.int64), data[head + 64:head + count], 0
        head += count
        rows = []
        for _ in range(steps):
            bucket, rank = state // 64 % 64, state % 64
            is_other = rank >= divide[bucket]
            symbol = np.where(is_other, other[bucket], bucket)
            state = frequency[symbol] * (state // 4096) + np.where(is_other, rank + shift[bucket], rank)
            poor = np.flatnonzero(state < 65536)
            need(next_word + 2 * len(poor) <= len(words), "tileCoding", at, name)
            state[poor] = state[poor] * 65536 + np.frombuffer(words, "<u2", len(poor), next_word)
            next_word += 2 * len(poor)
            rows.append(symbol)
        need(next_word == len(words) and (state == 65536).all(), "tileCoding", at, name)
        streams.append(np.array(rows))
    codes = np.stack(streams, 1)  # steps, streams, lanes
    if nibbles:
        return (codes[:, 0::2] | codes[:, 1::2] << 4).ravel().astype(np.uint8)
    codes = codes.reshape(steps, 4, 2, 16).transpose(0, 1, 3, 2).ravel() << drop
    if drop:
        bits = np.frombuffer(data, np.uint8, part, 4 + 2 * symbols)
        codes |= np.concatenate([bits >> k & (1 << drop) - 1 for k in range(0, 8, drop)])
    return (codes + base).astype(np.uint8)


def trellis(tile, panels, groups, at, name):
    """The panels that a tile of class 4 stands for."""
    need(len(tile) >= 136, "tileCoding", at, name)
    rate, count = np.frombuffer(tile, "<u4", 2).tolist()
    strand, lists = 32 * groups * rate + 1, 136 + 32 * panels
    need(2 <= rate <= 12 and len(tile) == lists + 8 * count + panels * strand, "tileCoding", at, name)
    table = np.frombuffer(tile, np.uint8, 128, 8)
    scales = np.repeat(np.frombuffer(tile, np.uint8, 32 * panels, 136).reshape(panels, 1, 32), groups, axis=1)
    exceptions = np.frombuffer(tile, np.dtype([("place", "<u4"), ("scale", "2u1"), ("zero", "<u2")]), count, lists)
    places = exceptions["place"].astype(np.int64)
    need((np.diff(places) > 0).all() and (places < 16 * groups * panels).all() and not exceptions["zero"].any(), "tileCoding", at, name)
    scales = scales.reshape(-1, 2)
    scales[places] = exceptions["scale"]
    planes = np.zeros((panels, plane_bytes(32 * groups)), np.uint8)
    planes[:, :32 * groups] = scales.reshape(panels, -1)
    strands = np.frombuffer(tile, np.uint8, panels * strand, lists + 8 * count).reshape(panels, strand)
    stream = np.unpackbits(strands, axis=1, bitorder="little")
    need(not stream[:, 256 * groups * rate + 7 - (rate + 1) // 2:].any(), "tileCoding", at, name)
    starts = rate * np.arange(512 * groups) // 2
    windows = sum(stream[:, starts + bit].astype(np.int64) << bit for bit in range(7))
    return np.concatenate([planes, table[windows]], axis=1).ravel()


def plain(data, tensor):
    """The tensor's bytes as section 10 lays them out."""
    if tensor["storage"] == "plain":
        return np.frombuffer(data, np.uint8, tensor["byteCount"], tensor["offset"])
    panel = panel_bytes(tensor["encoding"], tensor["columns"])
    planes = planes_bytes(tensor["encoding"], tensor["columns"])
    parts = []
    for (at, stored, _), size in zip(tensor["checksums"], tensor["plainBytes"]):
        first, panels = int.from_bytes(data[at:at + 4], "little"), size // panel
        if tensor["storage"] == "trellis":
            parts.append(trellis(data[at:at + stored], panels, -(-tensor["columns"] // 32), at, tensor["name"]))
            continue
        need(stored >= 4 and first <= stored - 4, "tileCoding", at, tensor["name"])
        scales = frame(data[at + 4:at + 4 + first], panels * planes, at, tensor["name"])
        coded, count = data[at + 4 + first:at + stored], panels * (panel - planes)
        codes = (frame(coded, count, at, tensor["name"]) if tensor["storage"] == "zstd"
                 else rans(coded, count, tensor["encoding"] != "int8", at, tensor["name"]))
        parts.append(np.concatenate([scales.reshape(panels, -1), codes.reshape(panels, -1)], axis=1).ravel())
    return np.concatenate(parts)


def check_set(tensors, config, base):
    hidden, inner = config["hiddenSize"], config["intermediateSize"]
    queries, keys = (config[name] * config["headDim"] for name in ("headCount", "kvHeadCount"))
    tokens, drafter = config["vocabularySize"], config.get("drafter")
    head_rows = tokens
    shapes = {"model.norm.weight": (1, hidden)}
    if not drafter:
        shapes["model.embed_tokens.weight"] = (tokens, hidden)
    else:
        rank, head_rows = drafter["markovRank"], len(drafter["draftTokens"]) or tokens
        shapes.update({"fc.weight": (hidden, hidden * len(drafter["taps"])), "hidden_norm.weight": (1, hidden)})
        if rank:
            shapes.update({"markov_head.markov_w1.weight": (tokens, rank), "markov_head.markov_w2.weight": (head_rows, rank)})
        if drafter["confidence"]:
            width = hidden + (rank if drafter["confidence"] == 2 else 0)
            shapes.update({"confidence_head.proj.weight": (1, width), "confidence_head.proj.bias": (1, 1)})
    need(config["layerCount"] <= len(tensors), "tensorSet", base, "too few tensors")
    layers = [run for run in config["layers"] for _ in range(run["count"])]
    for layer, spec in enumerate(layers):
        part = {"self_attn.o_proj.weight": (hidden, queries), "mlp.gate_proj.weight": (inner, hidden),
                "mlp.up_proj.weight": (inner, hidden), "mlp.down_proj.weight": (hidden, inner)}
        norms = {1: ("input", "post_attention"), 2: ("post_attention", "post_feedforward"),
                 3: ("input", "post_attention", "pre_feedforward", "post_feedforward")}[spec["norms"]]
        part.update({f"{norm}_layernorm.weight": (1, hidden) for norm in norms})
        for letter, rows in (("q", queries), ("k", keys), ("v", keys)):
            part[f"self_attn.{letter}_proj.weight"] = (rows, hidden)
            if spec["attentionBias"]:
                part[f"self_attn.{letter}_proj.bias"] = (1, rows)
        if spec["queryKeyNorm"]:
            widths = (config["headDim"],) * 2 if spec["queryKeyNorm"] == 1 else (queries, keys)
            part.update({f"self_attn.{letter}_norm.weight": (1, width) for letter, width in zip("qk", widths)})
        shapes.update({f"model.layers.{layer}.{name}": shape for name, shape in part.items()})
    by_name = {tensor["name"]: tensor for tensor in tensors}
    if not config["tieWordEmbeddings"]:
        shapes["lm_head.weight"] = (head_rows, hidden)
    else:
        need("lm_head.weight" not in by_name, "tensorSet", base, "a head next to a tied embedding")
    for name, shape in shapes.items():
        found = by_name.get(name)
        need(found is not None and (found["rows"], found["columns"]) == shape, "tensorSet", base, f"{name} must be {shape}")
        vector = name.endswith(("norm.weight", ".bias")) or name.startswith("confidence_head")
        need(not vector or found["encoding"] == "f32", "tensorSet", base, f"{name} must be f32")


# 10. Bytes of a tensor

def values(data, tensor):
    """The tensor's values, f32 [rows, columns]."""
    rows, columns, encoding = tensor["rows"], tensor["columns"], tensor["encoding"]
    raw = plain(data, tensor)
    if encoding in ("f32", "f16"):
        return raw.view("<f4" if encoding == "f32" else "<f2").reshape(rows, columns).astype(np.float32)
    panels = raw.reshape(-1, panel_bytes(encoding, columns))
    codes = panel_codes(panels, encoding, columns)  # [panel, row, group, column]
    scale, minimum = scaling(panels, encoding, columns)
    if minimum is None:
        result = scale * (codes - 2.0 ** (code_bits(encoding) - 1)).astype(np.float32)
    else:
        result = scale * codes + minimum
    result = result.reshape(-1, up(columns, 32))[:rows, :columns]
    return turned(result) if tensor["storage"] == "trellis" else result


def turned(values):
    """The rows times the Hadamard matrices of the largest order that divides their length."""
    rows, columns = values.shape
    order, width = columns & -columns, 1
    values = values * (np.float32(1) / np.sqrt(np.float32(order)))
    while width < order:
        a, b = values.reshape(rows, -1, 2, width).transpose(2, 0, 1, 3)
        values = np.stack([a + b, a - b], axis=2).reshape(rows, columns)
        width *= 2
    return values


def panel_codes(panels, encoding, columns):
    groups, bits, codes = up(columns, 32) // 32, code_bits(encoding), 0
    lines = panels[:, planes_bytes(encoding, columns):].reshape(len(panels), groups, bits, 16, 4)
    if bits == 8:  # [panel, group, line, row, i]: column 4 line + i
        codes = lines
    else:  # [panel, group, line, place, row, i]: column 4 (8 line / width + place) + i
        taken = 0
        for width in (width for width in (4, 2, 1) if bits & width):
            places = [lines[:, :, taken:taken + width] >> shift & (1 << width) - 1 for shift in range(0, 8, width)]
            codes = codes | np.stack(places, axis=3).reshape(len(panels), groups, 8, 16, 4) << taken
            taken += width
    return codes.transpose(0, 3, 1, 2, 4).reshape(len(panels), 16, groups, 32).astype(np.float32)


def scaling(panels, encoding, columns):
    """Scales and minimums (None: there are none), each [panel, row, group, 1 or 32]."""
    groups, plane, supers = up(columns, 32) // 32, plane_bytes(columns), -(-columns // 256)

    def halves(start, count, numbers=1):  # [panel, count, number, row] -> number: [panel, row, count]
        part = np.ascontiguousarray(panels[:, start:start + 32 * numbers * count]).view("<f2")
        return part.reshape(-1, count, numbers, 16).transpose(2, 0, 3, 1).astype(np.float32)

    if not factors(encoding):
        return halves(0, groups)[0][..., None], halves(plane, groups)[0][..., None] if encoding.endswith("Affine") else None
    integers = panels[:, :32 * groups].reshape(-1, groups, 2, 16).transpose(2, 0, 3, 1)  # two: [panel, row, group]
    factor = np.repeat(halves(plane, supers, factors(encoding)), 8, axis=3)[..., :groups]

    def each(first, last):  # of the group's first 16 columns, and of the last
        return np.repeat(np.stack([first, last], axis=-1), 16, axis=-1)

    if factors(encoding) == 1:
        return factor[0][..., None] * each(*integers.astype(np.int8)), None
    if encoding == "int2Nested":
        return factor[0][..., None] * each(*(integers & 15)), -factor[1][..., None] * each(*(integers >> 4))
    return (factor[0] * integers[0])[..., None], (-factor[1] * integers[1])[..., None]


def check_data(data, tensor):
    start, end = tensor["padding"]
    need(not any(data[start:end]), "dataPadding", start)
    for at, size, checksum in tensor["checksums"]:
        need(xxh64(data[at:at + size]) == checksum, "tileChecksum", at, tensor["name"])
    if tensor["encoding"] == "int8":
        codes = plain(data, tensor).reshape(-1, panel_bytes("int8", tensor["columns"]))[:, plane_bytes(tensor["columns"]):]
        need(codes.all(), "values", tensor["offset"], f"{tensor['name']} has code 0")
    with np.errstate(invalid="ignore"):
        decoded = values(data, dict(tensor, rows=-(-tensor["rows"] // 16) * 16) if tensor["encoding"].startswith("int") else tensor)
    need(np.isfinite(decoded).all(), "values", tensor["offset"], f"{tensor['name']} is not finite")
    return decoded[:tensor["rows"]]


# 12. Validation: all of it

def read(path, with_values=True):
    """Checks the file and describes it. Raises Invalid."""
    with open(path, "rb") as file:
        data = file.read()
    header = read_header(data)
    (config_at, tokenizer_at, template_at, directory_at, _) = header["sections"]
    config = read_config(data, *config_at)
    tokenizer = read_tokenizer(data, *tokenizer_at, config["vocabularySize"])
    template = Section(data, *template_at, "templateText").text(template_at[1], "templateText")
    tensors = read_tensors(data, header)
    check_set(tensors, config, directory_at[0])
    for tensor in tensors:
        decoded = np.ascontiguousarray(check_data(data, tensor), "<f4")
        if with_values:
            tensor["firstValues"] = decoded.ravel()[:9].tolist()
            if decoded.size <= 1 << 16:  # a checksum in Python takes a second for ten megabytes
                tensor["valuesChecksum"] = f"{xxh64(decoded.tobytes()):016x}"
        for key in ("padding", "checksums", "plainBytes"):
            del tensor[key]
    return dict(valid=True, fileBytes=len(data), identity=f"{header['identity']:016x}", config=config,
                tokenizer=tokenizer, chatTemplate=template or None, tensors=tensors)


def describe(path):
    try:
        return read(path)
    except Invalid as error:
        return dict(valid=False, rule=error.rule, offset=error.offset, message=str(error))


def main(arguments):
    if arguments[:1] == ["--tensor"] and len(arguments) == 3:
        read(arguments[2], with_values=False)
        with open(arguments[2], "rb") as file:
            data = file.read()
        tensors = {tensor["name"]: tensor for tensor in read_tensors(data, read_header(data))}
        print(json.dumps(values(data, tensors[arguments[1]]).tolist()))
        return 0
    if not arguments or arguments[0].startswith("-"):
        sys.exit(__doc__)
    results = [dict(file=os.path.basename(path), **describe(path)) for path in arguments]
    for result in results:
        print(json.dumps(result))
    return 0 if all(result["valid"] for result in results) else 65


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
