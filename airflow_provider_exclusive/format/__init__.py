"""The reference that is stored in an XCom row, and its canonical bytes."""
