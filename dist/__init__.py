"""Distributed training: the parameter server, its client, and what keeps them from losing work."""

from matrixslow.dist.cluster import Cluster, cluster

__all__ = ["Cluster", "cluster"]
