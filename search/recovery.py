"""After a kill: make Optuna's study and the files of the trials tell the same story."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
from optuna.trial import TrialState

from search.recorder import write_json
from search.trial import trial_name

STATES = {"complete": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
STATUSES = {state: status for status, state in STATES.items()}


def reconcile(folder: Path, study: optuna.Study) -> None:
    """A trial whose end only one of the two knows is ended in the other as well; all others are left as they are."""
    for trial in study.get_trials(deepcopy=False):
        trial_folder = folder / "trials" / trial_name(trial.number)
        outcome_file = trial_folder / "outcome.json"
        if trial.state == TrialState.RUNNING and outcome_file.exists():
            state = STATES[json.loads(outcome_file.read_text())["status"]]
            value = max(trial.intermediate_values.values()) if state == TrialState.COMPLETE and trial.intermediate_values else None
            study.tell(trial.number, value, state=state if value is not None or state != TrialState.COMPLETE else TrialState.FAIL)
        elif trial.state != TrialState.RUNNING and trial_folder.exists() and not outcome_file.exists():
            write_json(outcome_file, {"status": STATUSES[trial.state], "reason": "", "seconds": None})
