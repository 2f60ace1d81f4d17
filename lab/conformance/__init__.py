"""Kubernetes' own storage suite against the driver, on the lab's cluster.

python -m lab.conformance list      # the specs, and why some are not run
python -m lab.conformance run       # those that have no result yet; starts a cluster, or uses one with --cluster
python -m lab.conformance report    # docs/reference/conformance.md, from the results
"""
