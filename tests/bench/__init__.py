"""`make bench`: how fast it is, as ratios of what was measured in one and the same run."""
