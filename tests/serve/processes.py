"""The processes of a service with several workers, as the system shows them."""

from pathlib import Path

__all__ = ["children", "forking", "runs_still"]


def forking(pid: int) -> list[int]:
    """Ids of the processes that fork the workers of a service: one, or none if it was killed."""
    found = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [one for one in found if b"forkserver" in Path(f"/proc/{one}/cmdline").read_bytes()]


def children(pid: int) -> list[int]:
    """Ids of the workers of a service, which the process that forks them for it has started."""
    return [int(one) for at in forking(pid) for one in Path(f"/proc/{at}/task/{at}/children").read_text().split()]


def runs_still(pid: int) -> bool:
    """Whether a process has not ended; one that waits for nobody to ask for its status has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
