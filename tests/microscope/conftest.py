"""A bundle that is quick to run, also here."""

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location("tiny", Path(__file__).parents[1] / "predict" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_tiny)
make_bundle, tiny_bundle = _tiny.make_bundle, _tiny.tiny_bundle
