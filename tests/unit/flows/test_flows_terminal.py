"""Tables and colours on a real pseudo-terminal, and none of them in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

ROWS = """
from flows.tables import show
rows = [["a\\u202e\\x1b[31m", "high", "73"], ["bb", "watch", "-"], ["長い", "alert", "9"]]
show(["surge", "tier", "railcars"], rows)
"""


def on_terminal(code: str, columns: int = 80, **environment: str) -> str:
    """Run Python with a pseudo-terminal as its output and return what it wrote."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), **environment}
    with subprocess.Popen([sys.executable, "-c", code], stdout=child, env=env) as process:
        os.close(child)
        said = b""
        while True:
            try:
                part = os.read(parent, 65536)
            except OSError:  # Linux says that the other end is closed
                break
            if not part:
                break
            said += part
    os.close(parent)
    assert process.returncode == 0
    return said.decode()


def in_pipe(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout


@pytest.mark.parametrize("columns", [24, 80])
def test_a_table_is_coloured_and_aligned_on_a_terminal(columns: int) -> None:
    said = on_terminal(ROWS, columns)
    assert "\x1b[1;31mhigh" in said
    assert "\u202e" not in said
    bare = re.sub(r"\x1b\[[0-9;]*m", "", said).splitlines()
    assert [line.split()[-1] for line in bare if line] == ["railcars", "73", "-", "9"]
    assert len({line.rstrip().rfind(line.split()[-1][-1]) for line in bare[:3]}) == 1  # numbers end together


def test_a_pipe_gets_the_same_table_without_colour() -> None:
    said = in_pipe(ROWS)
    assert "\x1b" not in said
    bare = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(ROWS)).splitlines()
    assert [line.rstrip() for line in bare] == said.splitlines()


def test_colours_are_off_where_no_color_is_set() -> None:
    assert "\x1b[31" not in on_terminal(ROWS, NO_COLOR="1")
