"""The reference that stands in an XCom row, and the one form that its bytes have."""
