"""Definitions that several pages give in the same words."""

from __future__ import annotations

MACRO_F1 = (
    "Macro-F1 is the mean, over the locations that these fields are labelled with, of F1 = 2 · correct / (labelled + "
    "reported). A location without a labelled field is left out, so with all 28 it is the competition’s score."
)
"""The one definition, `lociscope.decide.metrics.macro_f1`; pages differ in how a location is decided, and say so."""

DECIDED_AS_GIVEN = "Locations are decided as the predictions say."
DECIDED_AT_ONE_THRESHOLD = (
    "Locations are decided at one threshold for all classes, which is cross-fitted: the fields are split into five "
    "folds, and each fold is decided by the threshold of the highest macro-F1 on the other four, so that no field "
    "contributes to its own threshold."
)
DECIDED_OUT_OF_FOLD = (
    "Locations are decided in a nested cross-validation: each field by combiner, calibration and thresholds that were "
    "fitted on other fields."
)
