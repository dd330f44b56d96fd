"""Standard detectors of public-health surveillance, for comparison only: nothing of the judge leans on them."""
