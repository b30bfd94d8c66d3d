"""Tracebacks as the user needs them: their own frames, without ours and the import system's around them."""

from __future__ import annotations

from itertools import dropwhile
from pathlib import Path
from traceback import FrameSummary, StackSummary, TracebackException
from typing import Final

_OURS: Final = str(Path(__file__).parent.parent) + "/"
_IMPORT_SYSTEM: Final = ("<frozen importlib", "<frozen runpy")


def user_traceback(error: BaseException) -> str:
    """Format an exception and what caused it, without the frames that lead from our main to the user's code.

    If no other frames are there the mistake is ours, and all of them are shown.
    """
    summary = TracebackException.from_exception(error)
    _strip(summary)
    return "".join(summary.format())


def users_part_of(error: BaseException) -> str:
    """Format what caused an error of ours, if the user's own code took part in that; else nothing."""
    cause = error.__cause__
    return user_traceback(cause) if cause is not None and has_user_frames(cause) else ""


def has_user_frames(error: BaseException) -> bool:
    """Whether the user's own code took part in it."""
    return bool(_user_frames(TracebackException.from_exception(error).stack)) or isinstance(
        error, SyntaxError
    )


def _strip(summary: TracebackException | None) -> None:
    while summary is not None:
        frames = _user_frames(summary.stack)
        if frames or _is_syntax_error(summary):
            summary.stack = StackSummary.from_list(frames)
        _strip(summary.__cause__)
        summary = summary.__context__


def _is_syntax_error(summary: TracebackException) -> bool:
    """Whether the exception itself names the user's file and line, so that it needs no frame."""
    return hasattr(summary, "text")  # only they have it; `exc_type` is deprecated since Python 3.13


def _user_frames(stack: StackSummary) -> list[FrameSummary]:
    frames = [frame for frame in stack if not _is_import_system(frame)]
    return list(dropwhile(lambda frame: frame.filename.startswith(_OURS), frames))


def _is_import_system(frame: FrameSummary) -> bool:
    return frame.filename.startswith(_IMPORT_SYSTEM) or frame.filename.endswith("/importlib/__init__.py")
