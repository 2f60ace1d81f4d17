"""What is left of a run on this machine."""

from __future__ import annotations

from pathlib import Path


def of(run_directory: str) -> list[str]:
    """Command lines of the processes that were started for a run, dead ones left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"{run_directory}/" in line or f"supervisor.py {run_directory} " in line:
                found.append(line)
    return found
