"""Write data/purchases.csv, the CDNOW transactions, from the package lifetimes.

The package carries them as text in columns; its modules are not imported, as they need a part of setuptools that is gone.
"""

import csv
from importlib.resources import files
from pathlib import Path

file = Path(__file__).parent / "data" / "purchases.csv"
file.parent.mkdir(exist_ok=True)
lines = files("lifetimes").joinpath("datasets/CDNOW_master.txt").read_text(encoding="utf-8").splitlines()
with open(file, "w", encoding="utf-8", newline="") as output:
    csv.writer(output).writerows(line.split() for line in lines if line.strip())
