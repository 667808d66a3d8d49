"""What Ray Tune does with one trial at a time, in this process and without training."""

from itertools import count
from types import SimpleNamespace

from ray.tune.search import Searcher

from lssat.train.result import Ended
from search.strategy.suggestion import suggestion_of
from tests.search.records import epoch


class Trial:
    """What is read of a trial of Ray Tune."""

    def __init__(self, trial_id, config):
        self.trial_id, self.config, self.run_metadata = trial_id, config, SimpleNamespace(num_failures=0)


class FakeTune:
    """Stands for `search.study.tuning._tune`. Its checkpoints outlive a kill, as those on disk do.

    A trial's score is its learning rate times the epoch; one with a large weight decay fails after its first epoch, one
    with a batch of 512 never fits.
    """

    def __init__(self):
        self.saved = {}  # name -> last epoch that has a checkpoint
        self.num_trained = 0
        self.fails_at = None  # the message, counted over all sessions, in whose place the machine fails
        self.watch = lambda: None  # called after every message
        self._num_messages = 0
        self._ids = count()

    def __call__(self, study, adaptor, recorder, num_runs):
        for _ in range(num_runs) if num_runs >= 0 else count():
            if adaptor.tune_stopper.stop_all():
                return
            trial_id = f"{next(self._ids):05d}"
            config = adaptor.tune_searcher.suggest(trial_id)
            if config is None or config == Searcher.FINISHED:
                return
            trial = Trial(trial_id, config)
            adaptor.tune_scheduler.on_trial_add(None, trial)
            recorder.on_trial_start(0, [], trial)
            report = self._run(adaptor, recorder, trial)
            if report is None:
                return
            adaptor.tune_scheduler.on_trial_complete(None, trial, report)
            adaptor.tune_searcher.on_trial_complete(trial_id)

    def _run(self, adaptor, recorder, trial):
        """Report until the trial is stopped or has nothing more to say; None where all trials are ended meanwhile."""
        for message in self._messages(suggestion_of(trial)):
            if self._num_messages == self.fails_at:
                message = Ended("interrupted", "OSError: [Errno 28] No space left on device")
            self._num_messages += 1
            report = message.to_report()
            decision = adaptor.tune_scheduler.on_trial_result(None, trial, report)
            recorder.on_trial_result(0, [], trial, report)
            assert report["panel"] is None
            self.watch()
            if decision == "STOP":
                return report
            if adaptor.tune_stopper.stop_all() and message.to_report().get("epoch") is not None:
                return None
            if isinstance(message, Ended):
                break
        return report

    def _messages(self, suggestion):
        config, name = suggestion.config, suggestion.name
        first = self.saved.get(name, 0)
        for at in range(first, config.optim.epochs + 1):
            if at == 0:
                continue
            if config.optim.batch_size == 512:
                yield Ended("infeasible", "DoesNotFit: too large")
                return
            if config.optim.weight_decay > 1 and at > 1:
                yield Ended("failed", "NonFiniteLoss: no")
                return
            if at > first:
                self.num_trained += 1
                self.saved[name] = at
            score = config.optim.lr * at * (1 + 0.01 * config.seed)
            yield epoch(at, score, config.optim.epochs, parameters=config.optim.batch_size, panel=b"PNG")
