"""The hall between the two wings: what the asset graph and the service agree on. Imports neither of them."""
