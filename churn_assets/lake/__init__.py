"""The lake: one Delta Lake table an asset, its versions, restores and migrations."""
