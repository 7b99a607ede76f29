"""What goes wrong with the Hub, as errors a person can act on; and which token speaks for them."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeVar

from vlm_datakit.errors import OutputError, RemoteError, SourceError, VlmDataKitError

_TRIES, _WAIT_S, _LONGEST_WAIT_S = 3, 0.5, 10
_RATE_LIMITED, _UNAUTHORIZED, _FORBIDDEN, _MISSING, _SERVER_FAULT = 429, 401, 403, 404, 500
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_CLOSE_NAMES = 3
Value = TypeVar("Value")


def token() -> str | None:
    """Return the token that huggingface_hub finds, or that of HUGGINGFACE_TOKEN; never shown."""
    from huggingface_hub import get_token

    return get_token() or os.environ.get("HUGGINGFACE_TOKEN", "").strip() or None


def endpoint() -> str:
    """Return where the Hub is."""
    from huggingface_hub import constants

    return constants.ENDPOINT


#: What no server can be blamed for: it goes on as the traceback that it is.
_BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError)


def tried(call: Callable[[], Value]) -> Value:
    """Return what a call of the Hub returns; asked again after a fault that may pass.

    For calls that huggingface_hub itself makes once.
    """
    from huggingface_hub.errors import HfHubHTTPError

    for attempt in range(_TRIES - 1):
        try:
            return call()
        except HfHubHTTPError as error:
            status = error.response.status_code
            wait = _told_wait(error) or _WAIT_S * 2**attempt
            if (status < _SERVER_FAULT and status != _RATE_LIMITED) or wait > _LONGEST_WAIT_S:
                raise
            time.sleep(wait)
        except Exception as error:
            if not any(map(_is_of_the_line, _causes(error))):
                raise
            time.sleep(_WAIT_S * 2**attempt)
    return call()


@contextmanager
def speaking_of(repo: str, what: str = "") -> Iterator[None]:
    """Turn what huggingface_hub raises inside into errors of ours.

    Args:
        repo: The repository.
        what: A file or a revision of it, for errors.

    Raises:
        SourceError: if it is missing, private, gated, or lacks the file or the revision.
        RemoteError: if the Hub does not answer, or wants fewer questions.
        OutputError: if the disk of the cache is full.
    """
    try:
        yield
    except (VlmDataKitError, *_BUGS):
        raise
    except Exception as error:
        raise _judged(error, repo, what) from error


def _judged(error: BaseException, repo: str, what: str) -> Exception:
    from huggingface_hub import errors

    shown, causes = f"{repo}{what}", [*_causes(error)]
    for cause in causes:
        if isinstance(cause, errors.HfHubHTTPError):
            return _of_answer(_Answered(cause, repo, shown))
        if isinstance(cause, OSError) and cause.errno in _NO_SPACE:
            return OutputError(
                f"{shown}: no space left on the disk of the cache, {_cache()}; "
                "HF_HOME moves it; run again to go on"
            )
    if any(isinstance(cause, errors.OfflineModeIsEnabled) for cause in causes):
        asked = "HF_HUB_OFFLINE is set, so the Hub is not asked; unset it"
        return RemoteError(f"{shown}: {asked}{_cached_words(repo)}")
    if isinstance(error, errors.HFValidationError):
        return SourceError(f"{shown}: no name that the Hub could know")
    if any(map(_is_of_the_line, causes)):
        words = _words(causes[-1])
        return _passing(f"{shown}: {endpoint()} does not answer ({words}); run again")
    return _passing(f"{shown}: cannot be had from the Hub: {_words(error)}")


def _passing(words: str) -> RemoteError:
    return RemoteError(words, retryable=True)


class _Answered(NamedTuple):
    """An answer of the Hub that is none, and what was asked for."""

    error: Any
    repo: str
    shown: str

    @property
    def page(self) -> str:
        """Return where a person can see the data set."""
        return f"{endpoint()}/datasets/{self.repo}"


def _of_answer(answer: _Answered) -> Exception:
    status = answer.error.response.status_code
    name = type(answer.error).__name__
    judge = _BY_ERROR.get(name) or _BY_STATUS.get(status)
    if judge is not None:
        return judge(answer)
    words = f"{answer.shown}: the Hub answers {status}; run again later"
    return RemoteError(words, retryable=status >= _SERVER_FAULT)


def _gated(answer: _Answered) -> Exception:
    if token() is None:
        cure = "ask for access there, then log in with `hf auth login` or set HF_TOKEN"
    else:
        cure = "the account of your token has no access yet: ask for it there"
    return SourceError(f"{answer.shown}: gated, see {answer.page}; {cure}")


def _missing(answer: _Answered) -> Exception:
    said = answer.error.response.headers.get("X-Error-Message", "")
    if token() is not None and said.lower().startswith("invalid"):
        cure = "renew it with `hf auth login`, or set another"
        return SourceError(f"{answer.shown}: the Hub does not know your token: {cure}")
    private = "or your token may not see it" if token() else "or it is private: set HF_TOKEN"
    near = _near(answer.repo)
    return SourceError(f"{answer.shown}: no data set of that name on the Hub, {private}{near}")


def _rate_limited(answer: _Answered) -> Exception:
    wait = _told_wait(answer.error)
    when = f" in {wait} s" if wait else " later"
    more = "" if token() else "; with HF_TOKEN set the Hub answers more often"
    return _passing(f"{answer.shown}: too many questions for the Hub; run again{when}{more}")


def _says(words: str) -> Callable[[_Answered], Exception]:
    return lambda answer: SourceError(f"{answer.shown}: {words}, see {answer.page}")


#: By the class that huggingface_hub gives an answer, else by its status.
_BY_ERROR = {
    "DisabledRepoError": _says("the Hub has disabled this data set"),
    "GatedRepoError": _gated,
    "RemoteEntryNotFoundError": _says("no such file"),
    "RepositoryNotFoundError": _missing,
    "RevisionNotFoundError": _says("no such branch, tag or commit"),
}
_BY_STATUS = {
    _UNAUTHORIZED: _missing,
    _FORBIDDEN: _says("your token may not read this"),
    _MISSING: _missing,
    _RATE_LIMITED: _rate_limited,
}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_of_the_line(error: BaseException) -> bool:
    import httpx2

    return isinstance(error, (httpx2.TransportError, ConnectionError, TimeoutError))


def is_of_the_line(error: BaseException) -> bool:
    """Whether an error comes of a line that fails, and may pass."""
    return any(map(_is_of_the_line, _causes(error)))


def _told_wait(error: Any) -> int | None:
    text = error.response.headers.get("Retry-After", "").strip()
    return int(text) if text.isdigit() else None


def _near(repo: str) -> str:
    """Return names like one that is not there, as a clause; asks the Hub once."""
    from huggingface_hub import HfApi

    owner, _, name = repo.partition("/")
    found = list[str]()
    with suppress(Exception):  # a hint, no more
        found += [info.id for info in HfApi(token=token()).list_datasets(search=name, limit=20)]
    with suppress(Exception):
        if not found:
            found += [
                info.id for info in HfApi(token=token()).list_datasets(author=owner, limit=50)
            ]
    near = get_close_matches(repo, found, n=_CLOSE_NAMES, cutoff=0.5)
    return f"; close to it: {', '.join(near)}" if near else ""


def _cached_words(repo: str) -> str:
    """Return where files of a repository lie in the cache, if any do, as a clause."""
    from pathlib import Path

    folder = Path(_cache(), f"datasets--{repo.replace('/', '--')}", "snapshots")
    with suppress(OSError):
        snapshots = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
        if snapshots:
            return f", or name what lies in the cache: {snapshots[-1]}"
    return ""


def _cache() -> str:
    from huggingface_hub import constants

    return constants.HF_HUB_CACHE


def _words(error: BaseException) -> str:
    return " ".join(f"{error}".split())[:120] or type(error).__name__
