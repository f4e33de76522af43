"""The canonical tables as they arrive: sources, contracts and the assets that ingest them."""
