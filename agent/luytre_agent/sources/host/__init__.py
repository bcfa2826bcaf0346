"""What a host is: readers of its state, one file per kind, all pure but for reading; and how two states differ."""
