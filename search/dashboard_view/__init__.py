"""A study as Optuna's dashboard shows it to people: made from the record, apart from the study that is searched."""
