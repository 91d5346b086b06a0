"""Event files as others write them, and what TensorBoard's own reader reads in them.

    pip install tensorboard tensorboardX
    python golden/series/events.py

writes `tensorboardx.tfevents` (simple values, with a text and a histogram among them), `tensors.tfevents` (scalars as tensors, as TensorFlow 2 has them) and
`events.json` beside this file.
"""

import json
import math
import pathlib
import tempfile

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

HERE = pathlib.Path(__file__).parent


def scalars(path):
    events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    read = {tag: [[e.step, e.value, e.wall_time] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    for tag in events.Tags()["tensors"]:
        tensors = [(e.step, e.tensor_proto, e.wall_time) for e in events.Tensors(tag)]
        if all(len(t.float_val) == 1 for _, t, _ in tensors):
            read[tag] = [[step, t.float_val[0], wall] for step, t, wall in tensors]
    return read


def of_tensorboardx():
    from tensorboardX import SummaryWriter

    with tempfile.TemporaryDirectory() as folder:
        with SummaryWriter(folder) as writer:
            for step in range(12):
                writer.add_scalar("eval/loss", 0.5 + math.exp(-step / 3), step * 100, walltime=1.7e9 + step)
                writer.add_scalar("train/loss", 0.4 + math.exp(-step / 3), step * 100, walltime=1.7e9 + step)
            writer.add_text("note", "not a number", 3)
            writer.add_histogram("weights", [0.1, 0.2, 0.2, 0.4], 3)
            writer.add_scalar("eval/loss", math.nan, 1200, walltime=1.7e9 + 12)
        return next(pathlib.Path(folder).iterdir()).read_bytes()


def as_tensors():
    """What `tf.summary.scalar` writes, made of TensorBoard's own messages and its record writer."""
    from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    class Unclosed:
        def __init__(self):
            self.bytes = b""

        def write(self, data):
            self.bytes += data

        def flush(self):
            pass

    out = Unclosed()
    writer = RecordWriter(out)
    writer.write(event_pb2.Event(wall_time=1.7e9, file_version="brain.Event:2").SerializeToString())
    metadata = summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="scalars"))
    for step in range(5):
        tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1 / (step + 1)], tensor_shape=tensor_shape_pb2.TensorShapeProto())
        value = summary_pb2.Summary.Value(tag="epoch_loss", tensor=tensor, metadata=metadata)
        event = event_pb2.Event(wall_time=1.7e9 + step, step=step, summary=summary_pb2.Summary(value=[value]))
        writer.write(event.SerializeToString())
    return out.bytes


def generate():
    golden = {}
    for name, data in (("tensorboardx.tfevents", of_tensorboardx()), ("tensors.tfevents", as_tensors())):
        (HERE / name).write_bytes(data)
        read = scalars(HERE / name)
        # JSON has no NaN.
        golden[name] = {tag: [[step, None if math.isnan(v) else v] for step, v, _ in points] for tag, points in read.items()}
    (HERE / "events.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    generate()
