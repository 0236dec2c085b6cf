"""What `weathervane check` looks at, a module a subject."""
