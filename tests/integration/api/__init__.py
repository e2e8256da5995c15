"""The tests of the REST API; a package, so that its one store is closed after its last test."""
