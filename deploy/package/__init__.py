"""Makes what is installed: Debian packages, the folder for offline hosts, bills of materials: `-m deploy.package`."""
