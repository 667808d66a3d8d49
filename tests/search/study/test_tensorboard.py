"""What TensorBoard itself reads of a study: its runs, their curves and pictures, and the table of all runs."""

import io

import pytest
import yaml
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

from lssat.storage.place import Place
from search.record.folder import RunFolder, Stage, Storage
from search.record.trials import Outcome, Status
from search.space.file import load
from search.strategy.finalists import Arm
from search.strategy.suggestion import Suggestion
from search.study import tuning
from search.study.context import Study
from search.study.tensorboard.parts import tag
from search.study.tensorboard.table import shown_settings
from search.study.tensorboard.writer import TensorBoard
from tests.search.records import epoch

SPACE = """
fixed: {data.image_size: 64, masking.unit: 16, optim.epochs: 20}
space:
  texture.lbp_points: [8, 16]
  backbone.name: [test_resnet, test_vit]
  backbone.patch_size: {choices: [8, 16], when: {backbone.name: [test_vit]}}
  streams: [MRGB/RLBP/CLBP, MRGB/RLDP/CRGB]
  aux_weight: [0.3, 0.9]
  masking.ratio: {low: 0.4, high: 0.8}
  optim.lr: {low: 1.0e-4, high: 1.0e-2, log: on}
search: {num_trials: 2, sampler: random}
"""
SAMPLED = {
    "backbone.name": "test_resnet",
    "data.image_size": 64,
    "masking.unit": 16,
    "optim.epochs": 20,
    "streams": "MRGB/RLBP/CLBP",
    "aux_weight": 0.9,
    "masking.ratio": 0.6,
    "optim.lr": 1e-3,
    "texture.lbp_points": 16,
}
VIT = {**SAMPLED, "backbone.name": "test_vit", "backbone.patch_size": 8}
SEARCHED = [
    "backbone", "texture.lbp_points", "streams", "aux_weight", "masking.ratio", "optim.lr", "backbone.patch_size",
    "stage", "status", "backbone.name",
]  # fmt: skip


@pytest.fixture
def study(tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)
    space = load(tmp_path / "space.yaml", "laptop", {}, {})
    folder = RunFolder(tmp_path / "results" / "s")
    return Study(folder, Storage(Place.of(folder.path)), space, None, tmp_path, {})


def panel(number):
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 0, 0)).save(out, "PNG")
    return out.getvalue()


def train(study, stage, suggestion, epochs=(1, 2), status=None):
    """A stretch of a run, as the driver records it."""
    tensorboard = TensorBoard(study.folder.tensorboard, stage, study.space)
    record = study.folder.record(stage, suggestion.name).begin(suggestion.sampled, suggestion.config)
    for at in epochs:
        result = epoch(at, 0.5, epochs=20, panel=panel(at))
        tensorboard.add(suggestion, result)
        record.append(result, 10.0 * at)
    tensorboard.close(suggestion.name)
    if status:
        record.end(Outcome(status, "", 10.0 * record.num_epochs))
        tensorboard.end(record)
    return record


def events_of(study, run):
    return EventAccumulator(str(study.folder.tensorboard / run), {"images": 0, "tensors": 0}).Reload()


class Table:
    """What the plugin answers to the page: names of the columns, and rows by their name."""

    def __init__(self, study):
        folder = str(study.folder.tensorboard)
        multiplexer = EventMultiplexer().AddRunsFromDirectory(folder).Reload()
        plugin = backend_context.Context(TBContext(data_provider=MultiplexerDataProvider(multiplexer, folder)))
        experiment = get_experiment.Handler(RequestContext(), plugin, "", api_pb2.GetExperimentRequest()).run()
        request = api_pb2.ListSessionGroupsRequest(slice_size=1000, allowed_statuses=api_pb2.Status.values())
        groups = list_session_groups.Handler(RequestContext(), plugin, "", request).run().session_groups
        self.infos = {info.name: info for info in experiment.hparam_infos}
        self.settings = [info.display_name for info in experiment.hparam_infos]
        self.metrics = [info.display_name for info in experiment.metric_infos]
        shown = {info.name.tag: info.display_name for info in experiment.metric_infos}
        self.rows = {group.name: self._settings(group) for group in groups}
        self.measured = {g.name: {shown[each.name.tag]: each.value for each in g.metric_values} for g in groups}
        self.statuses = {group.name: api_pb2.Status.Name(group.sessions[0].status) for group in groups}

    def _settings(self, group):
        found = {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()}
        return {self.infos[name].display_name: found[name] for name in sorted(found)}


def test_every_run_that_is_over_has_a_row_in_one_set_of_columns(study):
    """A ResNet has no patch size: the columns are those of the study, whichever run TensorBoard finds first."""
    train(study, Stage.SEARCH, Suggestion("0000", SAMPLED), range(1, 21), Status.COMPLETE)
    train(study, Stage.SEARCH, Suggestion("0001", VIT), range(1, 4), Status.STOPPED)
    train(study, Stage.SEARCH, Suggestion("0002", VIT), (), Status.INFEASIBLE)
    train(study, Stage.SEARCH, Suggestion("0003", VIT), range(1, 3), None)
    train(study, Stage.FINAL, Suggestion("0000-seed1", {**SAMPLED, "seed": 1}), range(1, 21), Status.COMPLETE)
    table = Table(study)
    assert table.settings == SEARCHED
    assert table.metrics == ["val/best", "epochs", "parameters", "seconds"]
    assert {name: (row["backbone"], row["stage"], row["status"]) for name, row in table.rows.items()} == {
        "search/0000": ("test_resnet", "search", "complete"),
        "search/0001": ("test_vit", "search", "stopped"),
        "search/0002": ("test_vit", "search", "infeasible"),
        "final/0000-seed1": ("test_resnet", "final", "complete"),
    }
    assert table.rows["search/0001"]["backbone.patch_size"] == 8
    assert "backbone.patch_size" not in table.rows["search/0000"]
    assert table.measured["search/0001"] == {"val/best": 0.5, "epochs": 3, "parameters": 5, "seconds": 30}
    assert table.measured["search/0002"] == {}
    failed = {name for name, status in table.statuses.items() if status == "STATUS_FAILURE"}
    assert failed == {"search/0002"}


def test_a_baseline_is_shown_without_what_only_the_auxiliary_task_reads(study):
    """And with values that the filters of the table know."""
    arm = Arm("0003", SAMPLED)
    for each in (arm, arm.baseline):
        suggestion = Suggestion(f"{each.name}-seed1", {**each.sampled, "seed": 1})
        train(study, Stage.FINAL, suggestion, (1, 2), Status.COMPLETE)
    names = sorted(path.name for path in (study.folder.tensorboard / "final").iterdir())
    assert names == ["0003-seed1 test_resnet", "0003-supervised-CLBP-seed1 test_resnet"]
    table = Table(study)
    own, baseline = (table.rows[f"final/{name.split()[0]}"] for name in names)
    common = {"backbone": "test_resnet", "backbone.name": "test_resnet", "optim.lr": 1e-3, "texture.lbp_points": 16}
    common |= {"stage": "final", "status": "complete"}
    assert own == {**common, "streams": "MRGB/RLBP/CLBP", "aux_weight": 0.9, "masking.ratio": 0.6}
    assert baseline == {**common, "streams": "none/CLBP", "aux_weight": 0.0}
    for info in table.infos.values():
        offered = [getattr(value, value.WhichOneof("kind")) for value in info.domain_discrete.values]
        assert not offered or baseline.get(info.display_name, offered[0]) in offered, info.display_name


@pytest.mark.parametrize("more", [{"auxiliary": False}, {"aux_weight": 0.0}])
def test_a_trial_without_an_auxiliary_task_is_recorded_like_one(more):
    suggestion = Suggestion("0000", {**SAMPLED, **more})
    shown = shown_settings(suggestion.sampled, suggestion.config, ["streams", "aux_weight", "masking.ratio"])
    assert (shown["streams"], shown["aux_weight"], "masking.ratio" in shown) == ("none/CLBP", 0.0, False)


def test_a_run_that_goes_on_has_its_settings_and_its_row_once(study):
    suggestion = Suggestion("0000", SAMPLED)
    train(study, Stage.SEARCH, suggestion, (1, 2))
    assert Table(study).rows == {}
    record = train(study, Stage.SEARCH, suggestion, (3, 4), Status.STOPPED)
    run = "search/0000 test_resnet"
    (ending,) = (study.folder.tensorboard / run).glob("*end")
    before = ending.read_bytes()
    TensorBoard(study.folder.tensorboard, Stage.SEARCH, study.space).end(record)
    assert ending.read_bytes() == before
    events = events_of(study, run)
    assert sorted(point.step for point in events.Scalars("score/val/best")) == [1, 2, 3, 4]
    assert [point.tensor_proto.float_val[0] for point in events.Tensors("total/epochs")] == [4]
    (config,) = events.Tensors("config")
    text = config.tensor_proto.string_val[0].decode()
    assert text.startswith("```yaml\n") and text.endswith("\n```")
    assert yaml.safe_load(text.removeprefix("```yaml").removesuffix("```")) == suggestion.config.flat()


def test_a_tensorboard_that_watches_sees_each_epoch_and_the_end(study):
    """It reads the files of a run in the order of their names, and never goes back to one."""
    suggestion = Suggestion("0000", SAMPLED)
    tensorboard = TensorBoard(study.folder.tensorboard, Stage.SEARCH, study.space)
    record, events = study.folder.record(Stage.SEARCH, "0000").begin(SAMPLED, suggestion.config), None
    for at in (1, 2, 3):
        tensorboard.add(suggestion, epoch(at, 0.5))
        record.append(epoch(at, 0.5), 1.0)
        events = events or events_of(study, "search/0000 test_resnet")
        events.Reload()
        assert [point.step for point in events.Scalars("score/val/best")] == list(range(1, at + 1))
    tensorboard.close("0000")
    record.end(Outcome(Status.STOPPED))
    tensorboard.end(record)
    assert len(events.Reload().Tensors("total/epochs")) == 1


def test_trials_that_paused_and_were_never_promoted_get_their_row_when_the_search_ends(study):
    """Nobody reports their end; and a kill may have come between an end and its row."""
    record = train(study, Stage.SEARCH, Suggestion("0000", SAMPLED), (1, 2, 3))
    record.end(Outcome(Status.STOPPED, "", 30.0))
    tuning._settle(study, Stage.SEARCH, study.folder.records(Stage.SEARCH))
    assert Table(study).rows["search/0000"]["status"] == "stopped"


def test_a_run_that_the_version_before_began_stays_one_run(study):
    suggestion, folder = Suggestion("0003", SAMPLED), study.folder.tensorboard
    train(study, Stage.SEARCH, suggestion, (1,))
    (folder / "search" / "0003 test_resnet").rename(folder / "0003")
    (folder / "search").rmdir()
    train(study, Stage.SEARCH, suggestion, (2,))
    train(study, Stage.SEARCH, suggestion, (3,))
    assert [path.name for path in folder.iterdir()] == ["search"]
    events = events_of(study, "search/0003 test_resnet")
    assert sorted(point.step for point in events.Scalars("score/val/best")) == [1, 2, 3]


def test_panels_are_kept_of_epochs_that_double_and_of_the_last_to_the_byte(study):
    """TensorBoard shows ten pictures of a run, chosen at random where there are more."""
    record = train(study, Stage.SEARCH, Suggestion("0000", SAMPLED), range(1, 21), Status.COMPLETE)
    shown = events_of(study, "search/0000 test_resnet").Images("validation reconstruction")
    assert [image.step for image in shown] == [1, 2, 4, 8, 16, 20]
    assert [image.encoded_image_string for image in shown] == [panel(image.step) for image in shown]
    assert record.panel.read_bytes() == panel(20), "a page reads the last one there"


def test_a_last_epoch_that_is_kept_anyway_is_there_once(study):
    train(study, Stage.SEARCH, Suggestion("0000", SAMPLED), range(1, 5), Status.STOPPED)
    shown = events_of(study, "search/0000 test_resnet").Images("validation reconstruction")
    assert [image.step for image in shown] == [1, 2, 4]


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("val/score", "score"),
        ("val/best", "score"),
        ("val/macro_f1", "score"),
        ("val/eer", "score"),
        ("val/task_loss", "loss"),
        ("train/task_loss", "loss"),
        ("train/reconstruction_loss", "loss"),
        ("train/lr", "rate"),
        ("train/images_per_s", "speed"),
        ("val/gap", "subgroups"),
        ("val/best_gap", "subgroups"),
        ("val/worst_group", "subgroups"),
        ("val/frame_auc", "frames"),
    ],
)
def test_a_curve_stands_under_its_part_by_the_whole_key_of_the_record(key, part):
    assert tag(key) == f"{part}/{key}"


def test_subgroups_have_a_column_of_the_table(study):
    sampled = {**SAMPLED, "objective.subgroups": ["sex"]}
    tensorboard = TensorBoard(study.folder.tensorboard, Stage.SEARCH, study.space)
    suggestion = Suggestion("0000", sampled)
    record = study.folder.record(Stage.SEARCH, "0000").begin(sampled, suggestion.config)
    result = epoch(1, 0.5, best_gap=0.25)
    tensorboard.add(suggestion, result)
    record.append(result, 1.0)
    record.end(Outcome(Status.STOPPED))
    tensorboard.close("0000")
    tensorboard.end(record)
    assert Table(study).measured["search/0000"]["val/best_gap"] == 0.25


def test_nothing_half_written_is_left_where_tensorboard_looks(study):
    train(study, Stage.SEARCH, Suggestion("0000", SAMPLED), (1,), Status.STOPPED)
    names = [path.name for path in study.folder.tensorboard.rglob("*tfevents*")]
    assert len(names) == 3 and not [name for name in names if name.startswith(".")]


def test_a_damaged_picture_ends_no_search_and_is_said_once(study, caplog):
    for name in ("0000", "0001"):
        record = train(study, Stage.SEARCH, Suggestion(name, SAMPLED), (1, 2, 3))
        record.panel.write_bytes(b"\x89PNG nothing")
        record.end(Outcome(Status.STOPPED, "", 30.0))
    tuning._settle(study, Stage.SEARCH, study.folder.records(Stage.SEARCH))
    assert len([line for line in caplog.records if "TensorBoard lacks" in line.message]) == 1


def test_a_place_that_cannot_be_written_is_an_error_as_it_is_elsewhere(study):
    record = train(study, Stage.SEARCH, Suggestion("0000", SAMPLED), (1,))
    record.end(Outcome(Status.STOPPED, "", 30.0))
    end = study.folder.tensorboard / "search" / "0000 test_resnet"
    end.rename(end.with_name("aside"))
    end.touch()
    with pytest.raises(OSError):
        TensorBoard(study.folder.tensorboard, Stage.SEARCH, study.space).end(record)
