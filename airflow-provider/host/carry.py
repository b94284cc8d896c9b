"""Puts the program into the wheel: the file that COFFERDAM_BINARY names."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_VARIABLE = "COFFERDAM_BINARY"


class Carry(BuildHookInterface):
    """Adds the program as a script, and names the platform that it is for."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        name = os.environ.get(_VARIABLE)
        if not name:
            raise SystemExit(
                f"error: {_VARIABLE} names no program\n\n"
                "hint: build it with `cargo build --release --locked --package cofferdam` and set "
                f"{_VARIABLE}=target/release/cofferdam"
            )
        program = Path(name).resolve()
        with program.open("rb") as file:
            if file.read(4) != b"\x7fELF":
                raise SystemExit(f"error: {_VARIABLE} names a file that is no program of Linux")
        # A script of any Python, for this system and processor alone.
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["shared_scripts"][str(program)] = "cofferdam"
