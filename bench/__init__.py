"""What the driver costs beside the bare thing, as ratios measured in one run."""
