"""A client of `lociscope serve`: predict a field, or send many and read their results; with the standard library only.

Example:
    >>> from lociscope.client import Client
    >>> client = Client("http://127.0.0.1:8000")  # doctest: +SKIP
    >>> client.predict(["a1_red.png", "a1_green.png", "a1_blue.png", "a1_yellow.png"]).names  # doctest: +SKIP
    ('Nucleoplasm',)
"""

from __future__ import annotations

from lociscope.client.answers import Answer, JobStatus, ServiceError
from lociscope.client.client import Client

__all__ = ["Answer", "Client", "JobStatus", "ServiceError"]
