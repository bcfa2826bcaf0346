"""Waiting for a descriptor, whatever its number."""

import fcntl
import os
import resource

from luytre_agent.sources import readable


def test_a_descriptor_beyond_what_select_knows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    near, far = os.pipe()
    high = fcntl.fcntl(near, fcntl.F_DUPFD_CLOEXEC, 2000)
    try:
        assert high >= 2000
        assert not readable.wait(high, 0.01)
        os.write(far, b"x")
        assert readable.wait(high, 5)
        os.read(high, 1)
        os.close(far)
        far = -1
        assert readable.wait(high, 5), "an end is news too"
    finally:
        for descriptor in (near, high, *([far] if far >= 0 else [])):
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
