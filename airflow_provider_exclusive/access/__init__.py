"""The decision about who may read, and hand-over of outputs to a triggered run."""
