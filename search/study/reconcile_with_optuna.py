"""After a kill: make Optuna's study and the records of the trials tell the same story."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from search.record.folder import RunFolder, Stage
from search.record.trials import Outcome, Status, TrialRecord
from search.space.settings import SearchConfig
from search.strategy.objectives import values
from search.strategy.outcome import outcome_of
from search.strategy.searcher import tell, trial_name

STATUSES = {
    TrialState.COMPLETE: Status.COMPLETE,
    TrialState.PRUNED: Status.STOPPED,
    TrialState.FAIL: Status.FAILED,
}


def reconcile(folder: RunFolder, study: optuna.Study, search: SearchConfig) -> list[TrialRecord]:
    """A trial whose end only one of the two knows is ended in the other as well; all others are left as they are.

    The records of the trials that have begun, each file read once.
    """
    records = {record.name: record for record in folder.records(Stage.SEARCH)}
    for trial in study.get_trials(deepcopy=False):
        name = trial_name(trial.number)
        record = records.get(name) or folder.record(Stage.SEARCH, name)
        if trial.state == TrialState.RUNNING:
            _report_missing(study, trial, record, search)
            _end_complete(record, search)
        outcome = record.outcome
        if trial.state == TrialState.RUNNING and outcome:
            objectives = values(search.objectives, record.last) if record.last else None
            tell(study, Trial(study, trial._trial_id), outcome, objectives)
        elif trial.state in STATUSES and name in records and not outcome:
            status = Status.INFEASIBLE if trial.constraints.get("memory") else STATUSES[trial.state]
            reason = trial.user_attrs.get("reason", "")
            record.end(Outcome(status, reason, record.seconds if record.num_epochs else None))
    return list(records.values())


def _report_missing(study: optuna.Study, trial: FrozenTrial, record: TrialRecord, search: SearchConfig) -> None:
    """Tell Optuna of epochs that are on record alone: a kill came before it was told."""
    if len(search.objectives) > 1:  # Optuna takes scores by epoch of one objective only
        return
    missing = [result for result in record.epochs if result.epoch not in trial.intermediate_values]
    for result in missing:
        Trial(study, trial._trial_id).report(result.best, step=result.epoch)


def _end_complete(record: TrialRecord, search: SearchConfig) -> None:
    """A trial whose last epoch is on record is over, even if a kill came before that was written down."""
    if record.last and record.last.is_last and not record.outcome:
        outcome = outcome_of(search, record.last, died=False)
        if outcome:
            record.end(Outcome(outcome.status, outcome.reason, record.seconds))
