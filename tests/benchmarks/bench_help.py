"""How long `railwatch --help` takes, beside a bare interpreter."""

from __future__ import annotations

import platform
import subprocess
import sys
import time


def best_of(command: list[str], times: int = 7) -> float:
    """Return the shortest of several runs, seconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return min(taken)


def main() -> None:
    bare = best_of([sys.executable, "-c", "pass"])
    shown = best_of([sys.executable, "-m", "flows.cli", "--help"])
    print(f"python {platform.python_version()}, {platform.machine()}; no seed needed")
    print(f"railwatch --help {shown:.3f} s (asked: 0.25), bare interpreter {bare:.3f} s, ratio {shown / bare:.1f}")


if __name__ == "__main__":
    main()
