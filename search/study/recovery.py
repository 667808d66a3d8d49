"""After a kill: make Optuna's study and the files of the trials tell the same story."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
from optuna.trial import Trial, TrialState

from lssat.files import write_json
from search.report.leaderboard import metrics
from search.space.settings import SearchConfig
from search.strategy.searcher import tell, trial_name, verdict

STATUSES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "stopped", TrialState.FAIL: "failed"}


def reconcile(folder: Path, study: optuna.Study, search: SearchConfig) -> None:
    """A trial whose end only one of the two knows is ended in the other as well; all others are left as they are."""
    for trial in study.get_trials(deepcopy=False):
        trial_folder = folder / "trials" / trial_name(trial.number)
        outcome_file = trial_folder / "outcome.json"
        if trial.state == TrialState.RUNNING and outcome_file.exists():
            outcome = json.loads(outcome_file.read_text())
            reported = metrics(trial_folder)
            result = {
                **(reported[-1] if reported else {}),
                **({outcome["status"]: True} if outcome["status"] in ("failed", "infeasible") else {}),
            }
            tell(study, Trial(study, trial._trial_id), verdict(search, result, error=False))
        elif trial.state in STATUSES and trial_folder.exists() and not outcome_file.exists():
            status = "infeasible" if trial.constraints.get("memory") else STATUSES[trial.state]
            reported = metrics(trial_folder)
            seconds = reported[-1].get("seconds") if reported else None
            write_json(
                outcome_file, {"status": status, "reason": trial.user_attrs.get("reason", ""), "seconds": seconds}
            )
