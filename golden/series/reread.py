"""What `kld train` leaves, read by TensorBoard itself, and `kld watch` on a terminal while it works.

    pip install tensorboard numpy
    python golden/series/reread.py target/release/kld

A training is killed, goes on, and is watched on a pseudo-terminal to its end. Then TensorBoard's EventAccumulator, on the run's folder, must have every
number of `metrics.jsonl` at its step, once, in 32 bits, and nothing else. Last, a checkpoint is written in two halves while its folder is watched.
"""

import json
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

GOLDEN = pathlib.Path(__file__).resolve().parent.parent
KLD = str(pathlib.Path(sys.argv[1]).resolve())
TEXT = (
    "To be, or not to be, that is the question: whether it is nobler in the mind to suffer the slings and arrows of fortune, "
    "or to take arms against a sea of troubles, and by opposing end them."
)
TRAIN = (
    "train teacher --student student --text text.jsonl --context 24 --held-out 0.2 --batch 4 --rate 5e-3 --threads 2 --steps 300 "
    "--evaluate-every 20 --checkpoint-every 7"
).split()


def desk(folder):
    for name, model in (("teacher", "llama-scaled"), ("student", "llama")):
        shutil.copytree(GOLDEN / "models" / model, folder / name)
    lines = [json.dumps({"text": TEXT[i * 7 :]}) for i in range(8)]
    (folder / "text.jsonl").write_text("\n".join(lines) + "\n")


def kill_in_the_middle(folder):
    """Kills a training some steps after a checkpoint."""
    training = subprocess.Popen([KLD, *TRAIN, "--run", "run"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics = folder / "run" / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text().count("\n") < 40:
        assert training.poll() is None, "ended before it could be killed"
        time.sleep(0.002)
    training.kill()
    training.wait()


def on_terminal(folder, arguments):
    """Starts `kld watch` on a pseudo-terminal; gives the process and our end."""
    ours, its = pty.openpty()
    watch = subprocess.Popen([KLD, "watch", *arguments], cwd=folder, stdin=its, stdout=its, stderr=its)
    os.close(its)
    return watch, ours


def shown_until_the_end(watch, ours):
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # The other end is closed.
            part = b""
        if not part:
            break
        shown += part
    assert watch.wait() == 0, shown.decode()
    return shown.decode()


def watched_to_the_end(folder):
    """Goes on with the training and watches it; gives what stood on the terminal."""
    training = subprocess.Popen([KLD, "train", "--run", "run", "--resume"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    arguments = ["run", "--every", "0.05", "--alert", "kl_heldout < 0", "--html", "page.html"]
    shown = shown_until_the_end(*on_terminal(folder, arguments))
    assert training.wait() == 0
    return shown


def a_checkpoint_by_and_by(folder):
    """Watches a folder in which one half of a checkpoint appears, and later the other."""
    (folder / "out").mkdir()
    whole = (GOLDEN / "models/llama/model.gguf").read_bytes()
    arguments = ["out", "--reference", str(GOLDEN / "models/llama/model.gguf"), "--text", "text.jsonl", "--context", "24", "--every", "0.2"]
    watch, ours = on_terminal(folder, arguments)
    with open(folder / "out/step-100.gguf", "wb") as file:
        file.write(whole[: len(whole) // 2])
        file.flush()
        time.sleep(1.5)
        file.write(whole[len(whole) // 2 :])
    kept = folder / "out/kld-watch.jsonl"
    for _ in range(600):
        if kept.exists() and kept.read_text().endswith("\n"):
            break
        time.sleep(0.1)
    time.sleep(0.5)
    watch.send_signal(signal.SIGINT)
    shown = shown_until_the_end(watch, ours)
    assert json.loads(kept.read_text())["kl_heldout"]["value"] == 0
    for told in ("has no checkpoint with a score yet", "step-100.gguf is left out until it changes", "step 100", "TOO EARLY"):
        assert told in shown, f"{told} is not in:\n{shown[-4000:]}"


def numbers(folder):
    """The numbers of metrics.jsonl by name and step."""
    found = {}
    for line in (folder / "run" / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        step = record.pop("step")
        evaluation = record.pop("evaluation", {})
        means = {f"evaluation/{k}": v["value"] for k, v in evaluation.items() if isinstance(v, dict)}
        for name, value in (record | means).items():
            assert step not in found.setdefault(name, {}), f"{name} is told twice of step {step}"
            found[name][step] = value
    return found


def check(folder):
    events = EventAccumulator(str(folder / "run"), size_guidance={"scalars": 0})
    events.Reload()
    expected = numbers(folder)
    assert set(events.Tags()["scalars"]) == set(expected), events.Tags()["scalars"]
    for tag, values in expected.items():
        read = events.Scalars(tag)
        assert [e.step for e in read] == sorted(values), tag
        for event in read:
            assert event.value == np.float32(values[event.step]), (tag, event, values[event.step])
            assert 0 <= time.time() - event.wall_time < 3600
    assert max(expected["loss"]) == 300 and len(expected["evaluation/held_out"]) == 16
    return sum(len(values) for values in expected.values())


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    desk(folder)
    kill_in_the_middle(folder)
    shown = watched_to_the_end(folder)
    for told in ("step 300 of 300", "held-out", "verdict", "never held", "watching for"):
        assert told in shown, f"{told} is not in:\n{shown[-4000:]}"
    assert "expected further gain" in (folder / "page.html").read_text()
    count = check(folder)
    a_checkpoint_by_and_by(folder)
print(f"TensorBoard reads all {count} numbers of a killed and resumed run; the live view saw it to its end, and waited for a checkpoint to be whole")
