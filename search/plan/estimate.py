"""What a study will take, before anything is launched: trials, epochs, memory, time and disk. An estimate, made without
touching data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lssat.config import Config, ConfigError, DataConfig
from lssat.data.prepared.table import INFO_FILE, DatasetInfo, read_info
from lssat.data.sources.source import located
from lssat.model import catalog
from search.space import epochs
from search.space.definition import Parameter, Space
from search.space.epochs import Span
from search.space.reach import backbones as drawable_backbones

if TYPE_CHECKING:
    from search.plan.rates import Rate

MOST_POINTS = 100_000  # that are counted
RUNTIME = 400 << 20  # bytes of a worker's Python and torch, measured; a CUDA context is about as large
ASSUMED_ROWS = {"train": 10_000, "val": 2_000, "test": 2_000}
ASSUMED_OUTPUTS = 10
BYTES_PER_PIXEL = 0.6  # of a JPEG of a face at the quality that preparation writes


@dataclass(frozen=True)
class Machine:
    """What there is to run on."""

    cpus: int
    memory: int  # bytes
    gpus: int
    gpu_memory: int  # bytes of the smallest; 0 without one


@dataclass(frozen=True)
class Data:
    """Rows per split, and where the number comes from."""

    rows: Mapping[str, int]
    num_outputs: int
    bytes: int  # on disk, prepared
    origin: str


@dataclass(frozen=True)
class Backbone:
    """What the trials of one backbone take. `seconds_per_epoch` is None where it could not be measured here."""

    name: str
    size: str
    parameters: int
    workers: int
    cpus_per_worker: int
    gpus_per_worker: float
    at_a_time: int  # trials that this machine has CPUs and GPUs for; 0: none
    micro_batches: int  # with which it fits; 0: with none
    memory: int  # bytes of one worker
    available: int  # bytes that one worker may have
    seconds_per_epoch: float | None

    @property
    def runs_here(self) -> bool:
        return self.at_a_time > 0 and self.micro_batches > 0


@dataclass(frozen=True)
class Plan:
    """Estimates of a whole study. Bytes, seconds."""

    profile: str
    space: tuple[tuple[str, str], ...]  # searched key -> its choices or range, with its condition
    points: str  # of the space, in words
    trials: int
    epochs_per_trial: int
    search_epochs: Span
    final_epochs: int
    data: Data
    backbones: tuple[Backbone, ...]
    seconds: Span | None
    disk: int

    @property
    def epochs(self) -> Span:
        return self.search_epochs.plus(self.final_epochs)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "epochs": asdict(self.epochs)}


def make_plan(
    space: Space, data: Data, machine: Machine, seconds: float, say: Callable[[str], None] = lambda text: None
) -> Plan:
    """The plan of a space; `seconds` is what measuring its smallest and largest backbone may take in all. Raises
    ConfigError.
    """
    configs: dict[str, Config] = {}
    for config, _ in drawable_backbones(space):
        configs.setdefault(catalog.architecture(config.backbone), config)
    example = next(iter(configs.values()))
    sized = [(config, _fitting(config, data, machine)) for config in configs.values()]
    sized.sort(key=lambda pair: pair[1].parameters)
    rate = _rates(sized, data, seconds, say)
    backbones = tuple(_timed(backbone, config, data, rate) for config, backbone in sized)
    search_epochs, final_epochs = (
        epochs.searched(space.search, example.optim.epochs),
        epochs.final(space.search, example.optim.epochs),
    )
    return Plan(
        profile=space.profile,
        space=tuple((parameter.key, describe(parameter)) for parameter in space.parameters),
        points=_points(space),
        trials=space.search.num_trials,
        epochs_per_trial=example.optim.epochs,
        search_epochs=search_epochs,
        final_epochs=final_epochs,
        data=data,
        backbones=backbones,
        seconds=_seconds(space, backbones, search_epochs, final_epochs),
        disk=_disk(space, example, backbones, data),
    )


def describe(parameter: Parameter) -> str:
    """`a, b` or `1 to 2 (logarithmic)`, and under which condition."""
    if parameter.choices:
        text = ", ".join(map(str, parameter.choices))
    else:
        scale = " (logarithmic)" if parameter.log else f" in steps of {parameter.step:g}" if parameter.step else ""
        text = f"{parameter.low:g} to {parameter.high:g}{scale}"
    conditions = " and ".join(f"{key} is {' or '.join(map(str, values))}" for key, values in parameter.when.items())
    return text + (f", where {conditions}" if conditions else "")


def look_at_data(data: DataConfig, cache: Path) -> Data:
    """The rows of the data set as prepared earlier; else of the synthetic faces to come; else an assumption. Reads no
    image. Raises ConfigError.
    """
    prepared = _prepared(data, cache)
    if prepared:
        folder, info = prepared
        size = sum(path.stat().st_size for path in folder.glob("*.parquet"))
        return Data(info.rows, max(2, len(info.classes)), size, f"as prepared in {folder.name}")
    if data.source == "synthetic":
        from lssat.data.synthetic import generate as synthetic

        rows = {"train": data.num_images, "val": synthetic.NUM_HELD_OUT, "test": synthetic.NUM_HELD_OUT}
        classes = data.classes or synthetic.CLASSES.get(data.task, ())
        return Data(
            rows, max(2, len(classes)), _jpeg_bytes(rows, data.image_size), "synthetic faces, yet to be rendered"
        )
    outputs = len(data.classes) if data.classes else ASSUMED_OUTPUTS
    return Data(
        ASSUMED_ROWS,
        outputs,
        _jpeg_bytes(ASSUMED_ROWS, data.image_size),
        "unknown before the data are prepared: this is an assumption",
    )


def this_machine() -> Machine:
    import torch

    gpus = torch.cuda.device_count()
    smallest = min((torch.cuda.get_device_properties(index).total_memory for index in range(gpus)), default=0)
    return Machine(
        len(os.sched_getaffinity(0)), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), gpus, smallest
    )


def _prepared(data: DataConfig, cache: Path) -> tuple[Path, DatasetInfo] | None:
    """The newest prepared data set of this name and task; a source that is one is taken as it is."""
    synthetic = data.source == "synthetic"
    path = Path(data.source) if synthetic else located(data.source).path
    if not synthetic and (path / INFO_FILE).is_file():
        return path, read_info(path)
    for found in sorted(cache.glob(f"*/{INFO_FILE}"), key=lambda file: -file.stat().st_mtime):
        try:
            info = read_info(found.parent)
        except ConfigError:
            continue
        if (info.source, info.task) == (path.name, data.task) and (not synthetic or _same_faces(info, data)):
            return found.parent, info
    return None


def _same_faces(info: DatasetInfo, data: DataConfig) -> bool:
    return all(info.options.get(key) == getattr(data, key) for key in ("num_images", "image_size", "seed", "classes"))


def _fitting(config: Config, data: Data, machine: Machine) -> Backbone:
    """A backbone with the fewest micro-batches with which its worker has room."""
    from lssat.train.footprint import footprint

    wanted, number = config.resources, config.optim.accumulate
    at_a_time = _at_a_time(config, machine)
    available = _available(config, data, machine, max(1, at_a_time))
    found = footprint(config, data.num_outputs, number)
    while (
        at_a_time and RUNTIME + found.total > available and 4 * number <= config.optim.batch_size // wanted.num_workers
    ):  # two rows: batch norm's least
        number *= 2
        found = footprint(config, data.num_outputs, number)
    return Backbone(
        name=catalog.architecture(config.backbone),
        size=catalog.size_of(found.parameters) if config.backbone.name else config.backbone.size,
        parameters=found.parameters,
        workers=wanted.num_workers,
        cpus_per_worker=wanted.cpus_per_worker,
        gpus_per_worker=wanted.gpus_per_worker,
        at_a_time=at_a_time,
        micro_batches=number if RUNTIME + found.total <= available else 0,
        memory=RUNTIME + found.total,
        available=available,
        seconds_per_epoch=None,
    )


def _at_a_time(config: Config, machine: Machine) -> int:
    wanted = config.resources
    fits = machine.cpus // (wanted.num_workers * wanted.cpus_per_worker)
    return (
        min(fits, int(machine.gpus // (wanted.num_workers * wanted.gpus_per_worker)))
        if wanted.gpus_per_worker
        else fits
    )


def _available(config: Config, data: Data, machine: Machine, at_a_time: int) -> int:
    """Bytes that one worker may have: its share of a GPU, or of what the decoded images leave of the machine's memory."""
    if config.resources.gpus_per_worker:
        return int(machine.gpu_memory * min(1.0, config.resources.gpus_per_worker))
    decoded = (data.rows["train"] + data.rows["val"]) * 3 * config.data.image_size**2
    return max(0, machine.memory - decoded) // (at_a_time * config.resources.num_workers)


def _rates(
    sized: list[tuple[Config, Backbone]], data: Data, seconds: float, say: Callable[[str], None]
) -> Callable[[int], Rate] | None:
    """Parameters -> images per second of one worker, from the smallest and the largest backbone that can run here; None
    where none can.
    """
    from search.plan.rates import between, measure

    able = [(config, backbone) for config, backbone in sized if backbone.runs_here]
    if not able:
        return None
    ends = []
    for config, backbone in [able[0], able[-1]] if len(able) > 1 else able:
        say(f"measuring {backbone.name}")
        ends.append((backbone.parameters, measure(config, data.num_outputs, seconds / 2)))
    return lambda parameters: between(ends[0], ends[-1], parameters)


def _timed(backbone: Backbone, config: Config, data: Data, rate: Callable[[int], Rate] | None) -> Backbone:
    if rate is None or not backbone.runs_here:
        return backbone
    per_worker = rate(backbone.parameters)
    work = data.rows["train"] * config.data.train_fraction / per_worker.train + data.rows["val"] / per_worker.evaluate
    return replace(backbone, seconds_per_epoch=work / backbone.workers)


def _seconds(space: Space, backbones: tuple[Backbone, ...], search_epochs: Span, final_epochs: int) -> Span | None:
    """On the clock, if every backbone that can run is drawn equally often; with all trials side by side that there is
    room for.
    """
    able = [
        (backbone.seconds_per_epoch, backbone.at_a_time)
        for backbone in backbones
        if backbone.seconds_per_epoch is not None
    ]
    if not able:
        return None

    def clock(most: int | None) -> float:
        return sum(seconds / min(room, most or room) for seconds, room in able) / len(able)

    hours = space.search.max_hours
    searching = search_epochs.times(clock(space.search.max_concurrent)).at_most(hours and hours * 3600)
    return searching.plus(final_epochs * clock(space.search.max_concurrent))


def _points(space: Space) -> str:
    try:
        number = space.num_points(MOST_POINTS)
    except ConfigError:  # a range without a step
        return "continuous"
    return f"{number:,}" if number <= MOST_POINTS else f"more than {MOST_POINTS:,}"


def _disk(space: Space, example: Config, backbones: tuple[Backbone, ...], data: Data) -> int:
    """Bytes when most is there: the best weights of every run, three times as much for those under way (weights and
    AdamW's moments), the data.
    """
    mean, largest = sum(b.parameters for b in backbones) / len(backbones) * 4, max(b.parameters for b in backbones) * 4
    running = min(space.search.num_trials, space.search.max_concurrent or max(1, *(b.at_a_time for b in backbones), 1))
    runs = space.search.num_trials + epochs.final(space.search, 1)
    copies = 4 if example.optim.ema_decay else 3
    return int(runs * mean + running * copies * largest + data.bytes)


def _jpeg_bytes(rows: Mapping[str, int], image_size: int) -> int:
    return int(sum(rows.values()) * image_size**2 * BYTES_PER_PIXEL)
