"""A study as people see it in optuna-dashboard.

It is made from the record, apart from the study of Optuna's that is searched.
"""
