"""One case, in namespaces that are there already; one line of JSON per flow that must be seen.

python -m tests.bench.attribution CASE COUNT, and the stage as JSON on standard input. `ready` means that the agent may
begin to watch; it is waited for a line that says that it does.
"""

from __future__ import annotations

import json
import sys

from deploy.demo.namespaces import Side
from tests.bench.attribution.cases import CASES
from tests.bench.attribution.stage import Stage
from tests.bench.attribution.talk import unmixed


def main() -> None:
    """Run the case and print the truth."""
    name, count = sys.argv[1:]
    sides = json.loads(sys.stdin.readline())
    stage = Stage(**{side: Side(**ends) for side, ends in sides.items()})
    case = CASES[name]
    if not case.early:
        stage.watched()
    truth = case.run(stage, int(count))
    udp = [one for one in truth if one["transport"] == "udp"]
    tcp = [one for one in truth if one["transport"] != "udp"]
    print("\n".join(map(json.dumps, [*tcp, *unmixed(udp)])))


if __name__ == "__main__":
    main()
