"""Two clean processes find the same parameters and write the same ``model.onnx``, whatever the order of sets and the number of threads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from churn_assets.training.families import FAMILIES

ROOT = Path(__file__).parents[2]


@pytest.mark.proofs
@pytest.mark.integration
def test_every_family_is_the_same_to_the_last_bit_in_two_processes() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.once"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed, threads in (("1", "1"), ("2", "2"))
    ]
    once, again = (json.loads(process.communicate(timeout=240)[0]) for process in processes)
    assert set(once) == set(FAMILIES)
    assert len({model for model, *_ in once.values()}) == len(FAMILIES)
    assert once == again
