"""What starts the work: flows, deployments and the command line."""
