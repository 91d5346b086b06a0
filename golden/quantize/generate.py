"""Golden values of quantizing: blocks and what they stand for, by llama.cpp's own Python package.

    pip install numpy==2.4.6 gguf==0.19.0
    python golden/quantize/generate.py

writes `blocks.json` beside this file: for the types that the package can make, the blocks that it makes of `values` and what it reads from
them; for the K types, which it can only read, what it reads from arbitrary blocks. Bytes and f32 values (little-endian) are in hexadecimal.

`groups.json` has, for the tiny Llama and each kind and layer of its matrices, the bytes before and after quantizing and ‖W′ − W‖ / ‖W‖.
"""

import json
import pathlib
from collections import defaultdict

import numpy as np
from gguf import GGML_QUANT_SIZES, GGUFReader, quants
from gguf import GGMLQuantizationType as Type

HERE = pathlib.Path(__file__).parent
RNG = np.random.default_rng(20261125)
COLUMNS = 64
MADE = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
# Where a block of a K type keeps its scales in half precision.
READ = {"Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def rows():
    """Rows as models have them, and rows that are hard: zeros, one value only, an outlier, tiny and large values, one sign."""
    normal = RNG.standard_normal((3, COLUMNS)) * [[0.02], [1.0], [30.0]]
    outlier = RNG.standard_normal(COLUMNS) * 0.01
    outlier[5] = -3.0
    hard = [np.zeros(COLUMNS), np.full(COLUMNS, 0.125), outlier, RNG.standard_normal(COLUMNS) * 1e-6]
    return np.concatenate([normal, hard, np.abs(RNG.standard_normal((1, COLUMNS)))]).astype(np.float32)


def made(name, values):
    blocks = quants.quantize(values, Type[name])
    blocks = np.frombuffer(blocks.tobytes(), dtype=np.uint8).reshape(len(values), -1)
    given = blocks.view(np.float16) if name == "F16" else blocks
    return {"blocks": blocks.tobytes().hex(), "values": numbers(quants.dequantize(given, Type[name]))}


def read(name):
    _, size = GGML_QUANT_SIZES[Type[name]]
    blocks = RNG.integers(0, 256, (4, size), dtype=np.uint8)
    for offset in READ[name]:
        scales = RNG.uniform(-0.01, 0.01, 4).astype(np.float16)
        blocks[:, offset : offset + 2] = scales.view(np.uint8).reshape(4, 2)
    return {"blocks": blocks.tobytes().hex(), "values": numbers(quants.dequantize(blocks, Type[name]))}


def numbers(values):
    return values.astype("<f4").tobytes().hex()


def groups(name):
    """What quantizing does to each group of matrices; F16 where rows are no whole blocks."""
    by = defaultdict(lambda: defaultdict(lambda: np.zeros(4)))
    for tensor in GGUFReader(HERE.parent / "models/llama/model.gguf").tensors:
        if tensor.data.ndim < 2:
            continue
        weights = quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
        columns, _ = GGML_QUANT_SIZES[Type[name]]
        dtype = Type[name] if weights.shape[-1] % columns == 0 else Type.F16
        blocks = quants.quantize(weights.astype(np.float32), dtype)
        error = quants.dequantize(blocks, dtype).astype(np.float64) - weights
        sums = np.array([tensor.data.nbytes, blocks.nbytes, (error**2).sum(), (weights**2).sum()])
        parts = tensor.name.removesuffix(".weight").split(".")
        kind, layer = (parts[2], f"layer {parts[1]}") if parts[0] == "blk" else (parts[0], parts[0])
        by["kind"][kind] += sums
        by["layer"][layer] += sums
    return {key: {group: told(*sums) for group, sums in of.items()} for key, of in by.items()}


def told(before, after, error, norm):
    return {"bytes_before": int(before), "bytes_after": int(after), "relative_error": float(np.sqrt(error / norm))}


def main():
    values = rows()
    golden = {
        "columns": COLUMNS,
        "values": numbers(values),
        "made": {name: made(name, values) for name in MADE},
        "read": {name: read(name) for name in READ},
    }
    (HERE / "blocks.json").write_text(json.dumps(golden) + "\n")
    (HERE / "groups.json").write_text(json.dumps({name: groups(name) for name in ["Q4_0", "Q5_1", "Q8_0"]}, indent=1) + "\n")


main()
