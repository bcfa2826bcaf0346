"""Sources of rows: one file per source; `SOURCES` is the table of them."""
