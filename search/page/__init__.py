"""The page a study ends with: what `search.findings` says, as sections of claims, tables, charts and pictures."""
