"""`python -m deploy.package`: Debian packages, the folder for offline hosts, bills of materials."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.package import bundle, deb, sbom, wheels
from deploy.package.program import PROGRAMS, ROOT

DIST = ROOT / "dist"


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m deploy.package", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.add_argument(
            "--dist", type=Path, default=DIST, metavar="DIR", help="our wheels, and where all goes (dist/)"
        )
        one.add_argument(
            "program",
            nargs="*",
            choices=[*PROGRAMS, []],
            metavar="PROGRAM",
            help="agent, collector; all if none is named",
        )
        return one

    one = add("wheels", "build our four wheels; the core's for every glibc from 2.17 on")
    one.add_argument("--native", action="store_true", help="the core's for this machine only, which is quick")
    one = add("deb", "build Debian packages")
    one.add_argument("--target", metavar="NAME", help=", ".join(one.name for of in deb.TARGETS.values() for one in of))
    one.add_argument(
        "--revision", default="", metavar="VERSION", help="another version than the program's, with revision"
    )
    one.add_argument("--quick", action="store_true", help="hardly compressed")
    add("sbom", "write bills of materials")
    one = add("bundle", "make the folder for hosts without a network, from wheels and packages in --dist")
    one.add_argument("--into", type=Path, metavar="DIR", help="the folder (DIST/bundle)")
    arguments = parser.parse_args()
    programs = [PROGRAMS[name] for name in arguments.program or PROGRAMS]
    if arguments.command == "wheels":
        wheels.build_ours(arguments.dist, portable=not arguments.native)
        return 0
    if arguments.command == "bundle":
        print(bundle.make(programs, arguments.dist, arguments.dist, arguments.into or arguments.dist / "bundle"))
        return 0
    for program in programs:
        for target in deb.TARGETS[program.short]:
            if arguments.command == "sbom":
                parts = sbom.gather(program, arguments.dist, target.pythons)
                order = deb.Order(program, target, arguments.dist, arguments.dist)
                print(sbom.write(program, parts, order.made, arguments.dist))
                break
            if arguments.target in (None, target.name):
                packed = ("gzip", "1") if arguments.quick else ("xz", "6")
                order = deb.Order(program, target, arguments.dist, arguments.dist, arguments.revision, packed)
                print(deb.build(order))
    return 0


if __name__ == "__main__":
    sys.exit(main())
