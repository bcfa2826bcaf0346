"""The tables: DDL, inserts, queries; embedded engine or server."""
