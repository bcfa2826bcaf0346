"""What can be typed after `luytre-collector`: one file per group of commands. `COMMANDS` in `__main__` lists them.

What a command needs is imported when it runs: engines and libraries take most of a second, and `pki`
needs none of them.
"""
