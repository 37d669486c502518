"""The XCom backend of this provider."""
