"""Whether a compressed picture is all there: GDAL's readers of PNG and JPEG fill what is missing without a word."""

from __future__ import annotations

TAIL = 1024  # bytes from a file's end in which its last mark must stand; some writers put a few bytes after it
ENDS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}
WEBP_HEAD = 8  # bytes of RIFF's own head, which its length does not count


def is_whole(driver: str, head: bytes, tail: bytes, size: int) -> bool:
    """Tell whether a picture reaches its end.

    Parameters
    ----------
    driver : str
        GDAL's name of the format; of others than PNG, JPEG and WEBP the readers themselves say so.
    head, tail : bytes
        The file's first 16 and last `TAIL` bytes, or all of it.
    size : int
        Of the file, bytes.
    """
    if driver == "WEBP":
        return int.from_bytes(head[4:8], "little") + WEBP_HEAD <= size
    return driver not in ENDS or ENDS[driver] in tail
