"""From labelled snapshots to fitted models: the training set, the families, what they are worth on later snapshots."""
