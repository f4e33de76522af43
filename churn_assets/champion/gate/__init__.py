"""The gate: whether a candidate may serve. It fails closed.

``case`` is what it looks at, ``verdict`` what follows; the rules lie between them: ``origin`` (what the candidate was made of),
``export`` (whether the exported model is the trained one), ``quality`` (what it is worth by itself), ``profit`` (beside the champion)
and ``latency``. Reading the inputs from the graph is for ``champion.blessing_asset``, showing what was found for ``champion.checks``.
"""
