"""Where a company's raw tables come from."""
