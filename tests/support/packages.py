"""The Debian packages, built once for all tests that install them. `LUYTRE_TEST_DIST=DIR` gives wheels to build them
from; without it they are built from the checkout."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

import pytest

from deploy.package import deb, wheels
from deploy.package.program import BUILD, PROGRAMS
from tests.support import debian

OUT = BUILD / "test-packages"


@cache
def own_wheels() -> Path:
    """The folder with our four wheels."""
    given = os.environ.get("LUYTRE_TEST_DIST")
    if given:
        return Path(given)
    if not shutil.which("cargo"):
        pytest.skip("needs cargo to build the agent's wheel, or LUYTRE_TEST_DIST")
    wheels.build_ours(BUILD / "test-dist", portable=False)
    return BUILD / "test-dist"


@cache
def package(name: str, revision: str = "", target: str = "") -> Path:
    """The package of `agent` or `collector`, hardly compressed; for Debian 12 if no target is named."""
    debian.base()
    program = PROGRAMS[name]
    [made_for] = [
        one for one in deb.TARGETS[name] if one.name == (target or {"agent": "any", "collector": "debian12"}[name])
    ]
    order = deb.Order(program, made_for, own_wheels(), OUT, revision, ("gzip", "1"))
    return deb.build(order)
