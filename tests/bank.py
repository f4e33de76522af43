"""A bank's table without time: a row a customer, who left (`1`) or stayed (`0`), or is one of today's (nothing).

The law of leaving is written below; the columns are called as banks call them. ``python -m tests.bank FOLDER`` writes the table and
its ``churn.yaml``.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

CUSTOMERS = 10_000
TODAY = 2_000

LABEL = {"column": "Exited", "churned": "1", "stayed": "0", "unknown": ""}

CONFIGURATION: dict[str, Any] = {
    "company": "bank",
    "source": {
        "kind": "files",
        "shape": "table",
        "customers": {
            "path": "customers.csv",
            "columns": {"customer_id": "CustomerId"},
            "label": LABEL,
            "attributes": {
                "credit_score": {"column": "CreditScore", "kind": "number", "low": 0},
                "geography": {"column": "Geography", "kind": "category"},
                "age": {"column": "Age", "kind": "number", "low": 0, "unit": "years"},
                "tenure": {"column": "Tenure", "kind": "number", "low": 0, "unit": "years"},
                "balance": {"column": "Balance", "kind": "number", "unit": "euros"},
                "products": {"column": "NumOfProducts", "kind": "number", "low": 0},
                "has_card": {"column": "HasCrCard", "kind": "number", "low": 0, "high": 1},
                "is_active": {"column": "IsActiveMember", "kind": "number", "low": 0, "high": 1},
                "salary": {"column": "EstimatedSalary", "kind": "number", "nullable": True, "unit": "euros"},
            },
        },
    },
    "features": {"allow_protected": {"age": "the example of a bank has it; tests/bank.py"}},
}
"""What ``churn.yaml`` says of the table."""


def bank(customers: int = CUSTOMERS, *, today: int = TODAY, seed: int = 7) -> pl.DataFrame:
    """The table as text, as a CSV holds it; the last ``today`` customers have no label."""
    random = np.random.default_rng(seed)
    geography = random.choice(["France", "Germany", "Spain"], customers, p=[0.5, 0.25, 0.25])
    age = np.clip(random.normal(39, 10, customers), 18, 92).round()
    active = random.random(customers) < 0.52
    products = random.choice([1, 2, 3, 4], customers, p=[0.5, 0.46, 0.03, 0.01])
    balance = np.where(random.random(customers) < 0.36, 0.0, random.normal(120_000, 30_000, customers).clip(0)).round(2)
    risk = (
        -2.6
        + 0.07 * (age - 39)
        + 0.9 * (geography == "Germany")
        - 1.1 * active
        + 0.8 * (products == 1)
        + 2.5 * (products > 2)
        + 3e-6 * balance
    )
    left = random.random(customers) < 1 / (1 + np.exp(-risk))
    return pl.DataFrame(
        {
            "CustomerId": [str(15_600_000 + place) for place in range(customers)],
            "CreditScore": random.normal(650, 95, customers).clip(350, 850).round().astype(int),
            "Geography": geography,
            "Age": age.astype(int),
            "Tenure": random.integers(0, 11, customers),
            "Balance": balance,
            "NumOfProducts": products,
            "HasCrCard": (random.random(customers) < 0.7).astype(int),
            "IsActiveMember": active.astype(int),
            "EstimatedSalary": random.uniform(12, 200_000, customers).round(2),
            "Exited": [
                "" if place >= customers - today else "1" if gone else "0" for place, gone in enumerate(left.tolist())
            ],
        }
    ).cast(pl.String)


def write_bank(folder: Path, rows: pl.DataFrame, **more: Any) -> None:
    """Write the table and its ``churn.yaml``, with further sections."""
    folder.mkdir(parents=True, exist_ok=True)
    rows.write_csv(folder / "customers.csv")
    (folder / "churn.yaml").write_text(yaml.safe_dump({**CONFIGURATION, **more}, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    write_bank(Path(sys.argv[1]), bank())
