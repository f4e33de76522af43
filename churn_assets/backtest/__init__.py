"""The backtest: what the models of this company would have been worth, snapshot after snapshot, and how they age."""
