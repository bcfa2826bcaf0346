"""What can be typed after `luytre-collector`: one file per group of commands. `COMMANDS` in `__main__` lists them."""
