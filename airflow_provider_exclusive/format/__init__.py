"""The reference in an XCom row, the one form of its bytes, and readers of fields that trust nothing."""
