"""How operators become kernels: one table for each way, one file for each family of operators."""
