"""Where a published report is, as its asset says it in the Dagster UI.

Does not belong here: publishing (``churn_store.reports``), and what a report holds.
"""

import dagster as dg

from churn_store.reports import Report


def how_to_open(report: Report) -> dg.MarkdownMetadataValue:
    """How a person opens the newest report of its name, for an asset's metadata."""
    return dg.MetadataValue.md(f"`churn open {report.name}`, or `/reports/{report.name}` of the service")
