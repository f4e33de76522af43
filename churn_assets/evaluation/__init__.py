"""What a model is worth: measures, money, intervals, baselines, segments and pictures of given scores and labels."""
