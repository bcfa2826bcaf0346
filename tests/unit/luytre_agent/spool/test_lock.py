from __future__ import annotations

import os
from pathlib import Path

import pytest
from luytre_agent.spool.lock import Lock
from luytre_common.errors import UserError


def test_a_second_holder_is_told_who_has_it(tmp_path: Path) -> None:
    first = Lock(tmp_path)
    with pytest.raises(UserError, match=rf"process {os.getpid()}\) uses this spool; stop it, or give"):
        Lock(tmp_path)
    first.release()
    Lock(tmp_path).release()
