from __future__ import annotations

import os
from pathlib import Path

from luytre_agent.sources.watch.names import Names


def test_names_and_homes_follow_the_file(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_bytes(
        b"root:x:0:0:root:/root:/bin/sh\n#no:x:9:9::/no:\ntoor:x:0:0::/root:/bin/sh\nbad\nx:x:-1:0::/bad:\n"
        b"lan:x:1000:1000:Lan \xff:/home/lan:/bin/sh\nnone:x:5:5::relative:/bin/sh\n"
    )
    names = Names(path)
    assert [names.name(number) for number in (0, 1000, 5, 9, 7)] == ["root", "lan", "none", "", ""]
    assert names.homes() == ("/root", "/home/lan")
    other = tmp_path / "new"
    other.write_text("minh:x:1000:1000::/home/minh:/bin/sh\n")
    other.rename(path)
    assert (names.name(1000), names.homes()) == ("minh", ("/home/minh",))
    os.unlink(path)  # noqa: PTH108
    assert names.name(1000) == "minh", "what was known is better than nothing"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert (Names(tmp_path / "none").name(0), Names(tmp_path / "none").homes()) == ("", ())
