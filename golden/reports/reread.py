"""Does the table of tokens give the same summary to somebody else's reader? Arrow reads it, NumPy sums it up.

    pip install numpy pyarrow
    python golden/reports/reread.py target/release/kld

Compares a tiny model with quantized forms of itself, and asks that every figure of the JSON follows from the table.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pyarrow.parquet

MODEL = pathlib.Path(__file__).parent.parent / "models/llama/model.gguf"
TEXT = pathlib.Path(__file__).parent.parent.parent / "data/austen-persuasion.txt"


def same(name, found, expected):
    assert np.isclose(found, expected, rtol=1e-12, atol=0), f"{name}: {found} from the table, {expected} in the JSON"


def measured(folder):
    """The result as JSON, and the table."""
    table = folder / "tokens.parquet"
    command = [sys.argv[1], "compare", MODEL, "--quantize", "q8_0,q4_0", "--text", TEXT, "--context", "64"]
    command += ["--max-windows", "24", "--json", "-", "--tokens", table]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(result), pyarrow.parquet.read_table(table)


def check_divergence(name, divergence, values):
    same(f"{name}: mean", values.mean(), divergence["mean"]["value"])
    for key, percent in [("median", 50), ("p90", 90), ("p95", 95), ("p99", 99), ("p999", 99.9), ("max", 100)]:
        same(f"{name}: {key}", np.percentile(values, percent), divergence[key])


def check(candidate, rows):
    column = {name: rows[name].to_numpy(zero_copy_only=False) for name in rows.column_names}
    assert len(rows) == candidate["positions"] and column["finite"].all()
    for quantity in ["kl", "reverse_kl", "js"]:
        check_divergence(quantity, candidate[quantity], column[f"{quantity}_nats"])
    same("top-1 agreement", (column["top1_p"] == column["top1_q"]).mean(), candidate["top1_agreement"]["value"])
    same("top-10 overlap", column["top10_overlap"].mean() / 10, candidate["top10_overlap"]["value"])
    perplexity = candidate["perplexity"]
    same("perplexity of P", np.exp(column["nll_p_nats"].mean()), perplexity["reference"]["value"])
    same("perplexity of Q", np.exp(column["nll_q_nats"].mean()), perplexity["candidate"]["value"])
    delta_p = np.exp(-column["nll_q_nats"]) - np.exp(-column["nll_p_nats"])
    same("Δp", np.sqrt((delta_p**2).mean()), candidate["delta_p"]["rms"]["value"])


def main():
    with tempfile.TemporaryDirectory() as folder:
        result, table = measured(pathlib.Path(folder))
    assert table.schema.metadata[b"kld.token_stream_sha256"].decode() == result["protocol"]["token_stream_sha256"]
    names = table["candidate"].to_numpy(zero_copy_only=False)
    for candidate in result["candidates"]:
        check(candidate, table.filter(names == candidate["model"]["name"]))
    print(f"{len(table)} rows of {len(table.column_names)} columns give the summaries of {len(result['candidates'])} candidates again")


main()
