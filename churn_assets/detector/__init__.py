"""The benchmark of the drift rule: years without a change, changes of known size, and what others' rules say of the same rows."""
