"""The gate: whether a candidate may serve. It fails closed.

``evidence`` holds the inputs and ``verdict`` combines the rules: ``provenance`` (the data that the candidate was made from), ``export``
(whether the exported model is the trained one), ``quality`` (against simple rules), ``untuned`` (against untuned models), ``floor`` and
``plausible`` (AUC), ``calibrated``, ``profit`` and ``segments`` (against the champion) and ``latency``. ``band`` judges a figure by its
interval. Reading the inputs from the graph belongs to ``champion.blessing_asset``, showing the results to ``champion.checks``.
"""
