"""From probabilities to decisions: metrics, intervals, thresholds, calibration, ensembles.

Numpy only, in scikit-learn's grammar (`fit`, `predict`, `trailing_underscore_`). Knows nothing of pixels or
networks. What needs scipy or scikit-learn imports it when it fits; applying what was fitted needs numpy only.
"""
