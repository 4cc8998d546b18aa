"""Which paths does a residual network really use?  Models, lesions, path samplers and gradients.

The rooms, in the order the work flows: `data` -> `models`, `unravel` -> `interventions`,
`gradients` -> `measure` -> `results` -> `claims` -> `figures`.  Each module opens with what it
holds; the test `tests/test_import_rule.py` holds who may import whom.
"""
