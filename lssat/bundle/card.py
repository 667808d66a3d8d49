"""The model card of a bundle: what the model was trained on, how good it is and for whom, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from lssat.evaluation.scorecard import interval_in_words, shown
from lssat.text.visible import on_one_line, visible

TEXT = """---
{{ card_data }}
---

# {{ name }}

{{ body }}
"""
CHOSEN = (
    "The run was chosen on validation photos alone: `validation.json` is the epoch that was kept. Where several runs, "
    "or several seeds of the same settings, were compared, it is the best of them on validation (where values were "
    "held out one after the other, a run of the best seed over all of them), so its validation score is a little too "
    "good."
)
OPENED = "The test split was opened after the choice."
USE = (
    "Research on face analysis, on photos that are like those it was trained on. A probability is an estimate and not "
    "evidence; no decision about a person should rest on it."
)
LIMITS = (
    "Photos that were taken, cropped or compressed otherwise than the training data may be answered worse, and so may "
    "groups of persons that are rare in them or were not scored. The temperature was fitted on validation photos and "
    "holds for photos like those."
)
HELD_OUT = (
    "In training there was no photo whose `{column}` is {values}. The scores on validation and test are of these "
    "photos and of those that count with both parts (without a value, or real ones with a value of their own), and "
    "hold for these values alone: another one that is new to the model may be answered better or worse. The score in "
    "domain is of the other photos and again of those that count with both."
)
BALANCED = (
    "In training all classes counted as equally frequent, and so they do here: probabilities and both errors are for "
    "photos of which each class has as many. Where a class is rarer among yours, it is less likely than they say."
)


def model_card(known: Mapping[str, Any]) -> str:
    """`known`: the JSON files of a bundle, by their names without the ending."""
    task, preprocessing, test = known["labels"], known["preprocessing"], known.get("test")
    name = f"L-SSAT {preprocessing['backbone']}: {on_one_line(task['name'])}"
    source = on_one_line(preprocessing["source"] or "unknown data")
    data = ModelCardData(
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["face-analysis", "l-ssat"],
        model_name=name,
        eval_results=[_result(on_one_line(task["name"]), source, test)] if test else None,
    )
    counts = zip(map(on_one_line, task["classes"]), task["counts"], strict=True)
    sections = {
        "Data": f"`{source}`; {task['num_train']} training rows: "
        + ", ".join(f"{label} {count}" for label, count in counts),
        **_never_seen(known["config"]["data"]),
        "How it was chosen": f"{CHOSEN} {OPENED}" if test else CHOSEN,
        "Scores": _scores(known["validation"], test),
        "Subgroups": _subgroups(test),
        "Calibration": _calibration(known.get("calibration")),
        "Intended use": USE,
        "Limits": LIMITS,
        "How images are prepared": f"See `preprocessing.json`: {_faces(preprocessing['faces'])}, then "
        f"{preprocessing['image_size']} pixels, stream {preprocessing['stream']}.",
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return str(ModelCard.from_template(data, template_str=TEXT, name=name, body=body))


def _never_seen(data: Mapping[str, Any]) -> dict[str, str]:
    """The section on what was held out; none where nothing was, and of a version that could not."""
    if not data.get("hold_out"):
        return {}
    values = ", ".join(f"`{on_one_line(value)}`" for value in data["held_out"])
    return {"What training never saw": HELD_OUT.format(column=on_one_line(data["hold_out"]), values=values)}


def _result(task: str, source: str, test: Mapping[str, Any]) -> EvalResult:
    return EvalResult(
        task_type="image-classification",
        task_name=task,
        dataset_type="own",
        dataset_name=source,
        dataset_split="test",
        metric_type=test["metric"],
        metric_value=round(test["score"], 4),
    )


def _scores(validation: Mapping[str, Any], test: Mapping[str, Any] | None) -> str:
    text = f"Validation: {validation['val/score']:.4f}, after epoch {validation['epoch']} of {validation['epochs']}."
    if test is None:
        return f"{text} The test split was not opened."
    score = f"{test['metric']} {test['score']:.4f} ({interval_in_words(test)})"
    return f"{text} Test: {score}. The whole scorecard on test:\n\n```\n{visible(shown(test))}\n```"


def _subgroups(test: Mapping[str, Any] | None) -> str:
    if not test or not test.get("subgroups"):
        return "None were scored: nothing is known of differences between groups of persons."
    groups = ", ".join(map(on_one_line, test["subgroups"]))
    return f"The scorecard above compares those of {groups}, the gap with its interval."


def _calibration(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return (
            "None: the checkpoint kept no predictions, or it was not known which of them the score is of, so "
            "probabilities are those of the bare logits."
        )
    text = (
        f"Temperature {found['temperature']:.4f}, fitted on {found['units']} validation {found['of']}; on these the "
        f"expected calibration error is {found['ece_before']:.4f} before and {found['ece_after']:.4f} after."
    )
    return f"{text} {BALANCED}" if found.get("evenly") else text


def _faces(faces: Mapping[str, Any]) -> str:
    if faces.get("boxes"):
        return (
            f"in training faces were cut out by the boxes of the data set; in new photos {faces['detector']} finds "
            "them, which frames them otherwise, so answers may be worse than the scores say"
        )
    if faces["crop"]:
        level = ", turned upright" if faces.get("align") else ""
        return f"faces are found ({faces['detector']}) and cut out{level}"
    return "pictures are taken whole" if faces["keep"] else "the central square is taken"
