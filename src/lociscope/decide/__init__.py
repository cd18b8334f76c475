"""Turn probabilities into decisions: metrics, intervals, thresholds, calibration and ensembles.

Estimators follow scikit-learn (`fit`, `predict`, attributes with a trailing underscore) and know nothing of pixels or
networks. Applying a fitted estimator needs numpy only; fitting isotonic calibration imports scikit-learn.
"""
