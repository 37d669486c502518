"""Where an XCom is, what was handed over, and the one decision about who may read."""
