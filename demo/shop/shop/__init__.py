"""A small shop over HTTP."""

VERSION = "1.0"
