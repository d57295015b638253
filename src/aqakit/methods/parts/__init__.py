"""What methods share: the base class, heads, pooling, losses, captions, exemplars, graphs, panels of judges."""
