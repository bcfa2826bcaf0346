"""Backup of the embedded store, also while a collector inserts, and restore into an empty folder.

The engine freezes the parts of each table: hard links of files that never change (`frozen`). They are linked or copied
beside a manifest that lists every file with its hash (`make`, `manifest`). Restore checks all of it, creates the tables
as they were, attaches the parts, and migrates to today's schema (`restore`).

    DIR/manifest.json            written last: a folder without it is not a backup
    DIR/tables/TABLE/PART/...    the files of ClickHouse's parts
"""
