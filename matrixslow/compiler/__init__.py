"""The compiler: from a static graph to one native function."""
