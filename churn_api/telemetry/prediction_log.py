"""A line of the prediction log: the request, the answer and the release of one prediction.

Belongs here: the one form in which a prediction waits in the spool and enters the table ``prediction_log``.
"""

import random
import secrets
import time
from typing import Any

import msgspec


class LogLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A prediction as it was answered.

    Attributes:
        request_id: id made by the service (``new_prediction_id``), never the client's: a client that sends its own id
            twice must not make a prediction vanish from the log.
        item: position within a batch, from 0.
        answered_s: time of the answer, by the platform's clock.
        snapshot_s: time T of looked-up features; ``None`` where the caller sent the attributes.
        features: the model's inputs by name.
        experiment, arm, unit: place in an experiment (``releases.traffic_split``); left out without one.
    """

    request_id: str
    item: int
    answered_s: float
    customer_id: str | None
    release: str
    epoch: int
    role: str
    probability: float
    churn: bool
    threshold: float
    snapshot_s: int | None
    features: dict[str, Any]
    latency_us: int
    key_id: str | None
    experiment: str | None = None
    arm: str | None = None
    unit: str | None = None


class StoredLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """``LogLine`` on its way from the spool into the table; the features pass through as they were written."""

    request_id: str
    item: int
    answered_s: float
    customer_id: str | None
    release: str
    epoch: int
    role: str
    probability: float
    churn: bool
    threshold: float
    snapshot_s: int | None
    features: msgspec.Raw
    latency_us: int
    key_id: str | None
    experiment: str | None = None
    arm: str | None = None
    unit: str | None = None


encode_lines = msgspec.json.Encoder().encode_lines
decode_line = msgspec.json.Decoder(StoredLine).decode


_random_bits = random.Random(secrets.randbits(256)).getrandbits  # noqa: S311 - unique, not secret


def new_prediction_id() -> str:
    """A random id of 32 hexadecimal digits that sorts by time (laid out like a UUID of version 7, RFC 9562)."""
    return f"{time.time_ns() // 1_000_000:012x}7{_random_bits(76):019x}"
