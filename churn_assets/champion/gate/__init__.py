"""The gate: whether a candidate may serve. It fails closed.

``evidence`` is what it looks at, ``verdict`` what follows; the rules lie between them: ``provenance`` (what the candidate was made of),
``export`` (whether the exported model is the trained one), ``quality`` (beside simple rules), ``floor`` and ``plausible`` (its order of the
customers), ``calibrated``, ``profit`` and ``segments`` (beside the champion) and ``latency``. ``band`` gives three verdicts by an interval. Reading the inputs from the graph is for ``champion.blessing_asset``, showing what was found for ``champion.checks``.
"""
