"""Distributed training: the parameter server, its client, and what keeps them from losing work."""

__all__: list[str] = []
