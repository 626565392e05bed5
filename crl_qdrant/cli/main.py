"""The program `crl-qdrant`: it runs a command, and ends with one line and an exit status whatever happens.

The standard library is all that is imported before the first command line is read, so that Ctrl-C is answered early.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final, TextIO

__all__ = ["main", "program"]

_FAILED: Final = 1
_USAGE: Final = 2  # what Click gives a command line that cannot be read
_UNEXPECTED: Final = 70  # EX_SOFTWARE of sysexits.h
_INTERRUPTED: Final = 130  # what shells give a program that Ctrl-C ended
_READER_LEFT: Final = 141  # what shells give a program that wrote to a closed pipe

_NAME: Final = "crl-qdrant"
_COMPLETION: Final = "_CRL_QDRANT_COMPLETE"
_DEBUG: Final = "CRL_DEBUG"
_VARIABLES: Final = ("CRL_LOCATION", "CRL_COLLECTION", "CRL_DEVICE", "CRL_ENCODER")


def program() -> None:
    """Run the command line of this process, and end the process."""
    status = _run(sys.argv[1:])
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to be said while Python closes
    sys.exit(status)


def main() -> None:
    """Run the command line of this process, and raise SystemExit with its exit status.

    The status is 0 for success, 1 for an error, and 2 for a command line that cannot be read. It is 70 for a fault of
    this program, 130 after Ctrl-C, and 141 where nobody reads the output any more.
    """
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: Sequence[str]) -> int:
    _open_streams()
    with _interrupts() as interrupted:
        try:
            _check_encoding(arguments)
            status = _run_command(arguments)
            sys.stdout.flush()  # a full disk is told now; Python would only say it to nobody at its end
            return status
        except BaseException as error:
            return _end(error, arguments, interrupted=interrupted())


def _run_command(arguments: Sequence[str]) -> int:
    import logging
    import warnings

    import typer
    from typer.main import get_command

    from crl_qdrant.cli.app import app
    from crl_qdrant.cli.output import warn

    # rejected items are printed one by one; the library's warning of them would say it twice
    logging.getLogger("crl_qdrant").addHandler(logging.NullHandler())
    logging.getLogger("crl_qdrant").propagate = False  # some packages give the root logger a handler
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: warn(f"warning: {' '.join(str(message).split())}")
        command = get_command(app)
        if _COMPLETION in os.environ:  # a shell asks how a command line could end
            command.main(list(arguments), prog_name=_NAME)
        try:
            with command.make_context(_NAME, list(arguments)) as context:
                command.invoke(context)
        except typer.Exit as stop:
            return stop.exit_code
    return 0


def _end(error: BaseException, arguments: Sequence[str], *, interrupted: bool) -> int:
    """Say on standard error why the command ended; returns the exit status."""
    from crl_qdrant.cli.output import warn

    with suppress(OSError, ValueError):  # standard error may be closed or full: then the status says it
        if "--debug" in arguments or os.environ.get(_DEBUG, "") not in ("", "0"):
            import traceback

            traceback.print_exception(error)
        # an import that Ctrl-C stops may turn it into an error of its own
        status, line = (_INTERRUPTED, _STOPPED) if interrupted else _describe(error, arguments)
        if status == _READER_LEFT or _is_full(error):
            _discard_output()
        if line:
            warn(line)
        return status
    return _FAILED


_STOPPED: Final = "interrupted; what was written stays, and the same command resumes"


def _describe(error: BaseException, arguments: Sequence[str]) -> tuple[int, str]:
    """The exit status for an error, and the line to print."""
    from crl_qdrant.errors import CRLError

    if isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED, _STOPPED
    if isinstance(error, SystemExit):
        return (error.code, "") if isinstance(error.code, int) else (_FAILED if error.code else 0, "")
    if isinstance(error, BrokenPipeError):
        return _READER_LEFT, ""
    message = " ".join(str(error).split())
    if isinstance(error, CRLError):
        return _FAILED, f"error: {_reword(message, arguments)}"
    if isinstance(error, OSError):
        return _FAILED, f"error: {message}"
    if isinstance(error, MemoryError):
        return _FAILED, "error: there is not enough memory for this"
    format_message: Callable[[], str] | None = getattr(error, "format_message", None)
    if format_message is not None:  # an error of Click; typer brings its own copy of Click, or uses the installed one
        return _USAGE, _usage(error, " ".join(format_message().split()))
    return _UNEXPECTED, (
        f"error: unexpected {type(error).__name__}: {message[:500]}; this is a fault of crl-qdrant: "
        f"please report it with what `crl-qdrant --debug …` prints"
    )


def _usage(error: Any, message: str) -> str:
    """Say what is wrong with a command line, and which help to read; print the help if the command is missing."""
    context = getattr(error, "ctx", None)
    if context is None:
        return f"error: {message}"
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(context.get_help() + "\n")
        return ""
    return f"error: {message.rstrip('.')}; see {context.command_path} --help"


def _reword(message: str, arguments: Sequence[str]) -> str:
    from typer.main import get_command

    from crl_qdrant.cli.app import app
    from crl_qdrant.cli.wording import as_command_line, option_names

    return as_command_line(message, option_names(get_command(app), arguments))


def _is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.filename is None


def _discard_output() -> None:
    """Send what standard output still has in its buffer nowhere: Python would try to write it again at its end."""
    with suppress(OSError, ValueError):  # a stream without a file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _open_streams() -> None:
    """Give this process streams that take every text.

    A stream that was closed by the caller is opened on nothing: its number would else go to the next file that is
    opened, and a print would write into that.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        stream: TextIO | None = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
        elif number and isinstance(stream, io.TextIOWrapper):  # letters that a terminal lacks are written as codes
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C while a command runs; yields the function that says whether it was pressed."""
    pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one ends the process at once, without a traceback
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    try:
        if before is not signal.SIG_IGN:  # a job in the background
            signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread, which alone is interrupted
        before = None
    try:
        yield lambda: pressed
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _check_encoding(arguments: Sequence[str]) -> None:
    """Refuse bytes that are no text, but for names of files, which may be any bytes.

    Raises:
        InputError: if an argument or a variable of this program is not in the terminal's encoding.
    """
    given = [(f"argument {position}", value) for position, value in enumerate(arguments, start=1)]
    given += [(name, os.environ.get(name, "")) for name in _VARIABLES]
    for name, value in given:
        if value.isascii():
            continue
        try:
            value.encode()
        except UnicodeEncodeError:
            if any(os.path.lexists(each) for each in (value, value.partition("=")[2])):
                continue
            from crl_qdrant.errors import InputError

            raise InputError(
                f"{name} must be UTF-8 text or the name of a file, got {os.fsencode(value)!r}; "
                "check the encoding of the terminal or script that it comes from"
            ) from None
