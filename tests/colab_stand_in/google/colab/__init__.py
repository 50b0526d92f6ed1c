"""A stand-in for the module of that name, for the tests."""
