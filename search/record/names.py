"""What the files and folders of a run folder are called."""

from __future__ import annotations

TRIALS, BASELINES, FINALS = "trials", "baselines", "finals"
CONFIG, METRICS, OUTCOME = "config.json", "metrics.jsonl", "outcome.json"
PANEL = "reconstruction.png"  # of the latest epoch that made one
PREDICTIONS = {"val": "predictions-validation.parquet", "test": "predictions-test.parquet"}  # by split
STUDY, MANIFEST, LOG = "study.db", "manifest.json", "log.txt"
BEGINNING = ".beginning"  # there until the study has begun: nothing of worth is in the folder yet
LEADERBOARD, FINAL_TABLE = "leaderboard.csv", "finals.csv"
SPEEDS = "speeds.json"
BUNDLE, TENSORBOARD = "best", "tensorboard"
REPORT, REPORT_CLAIMS, REPORT_PARTS = "report.html", "report.json", "report"  # the page, what it says, its tables
PLANS = ".plans"  # beside the run folders, since what is planned need not have one yet
AGAIN = "again"  # rows that were trained once more, apart from the record
RAY = ".ray"
DATA = ".data"  # beside the studies of a storage: prepared data
POINTER, OBJECTS = "study.json", "study"  # in a storage at a URL: the copy of the run folder
OWNER = "run_folder.txt"  # in the storage: whose checkpoints these are, and what tells that it is there
