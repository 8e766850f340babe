"""The graph, its targets, and the commands around them."""
