"""What the Hugging Face libraries print while they read, and what they raise when they cannot."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefdyn._errors import InputError


def is_path(name: str | Path) -> bool:
    """Whether a name means a file or folder of this machine rather than something on the hub."""
    text = str(name)
    return (
        isinstance(name, Path)
        or Path(text).expanduser().exists()
        or text.startswith(("/", ".", "~"))
        or text.count("/") > 1
    )


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, reports and warnings inside; all settings are as before afterwards."""
    import huggingface_hub.utils as hub
    from transformers.utils import logging as transformers

    log = logging.getLogger("huggingface_hub")
    verbosity, level = transformers.get_verbosity(), log.level
    bars = transformers.is_progress_bar_enabled()
    hub_bars = not hub.are_progress_bars_disabled()
    transformers.set_verbosity(logging.CRITICAL)
    transformers.disable_progress_bar()
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if hub_bars:
                hub.disable_progress_bars()
            yield
    finally:
        transformers.set_verbosity(verbosity)
        log.setLevel(level)
        if bars:
            transformers.enable_progress_bar()
        if hub_bars:
            hub.enable_progress_bars()


@contextmanager
def from_hub(name: str | Path, what: str) -> Iterator[None]:
    """Errors of the hub in one sentence about `name`, which should be a `what`.

    Raises
    ------
    InputError
        If the hub cannot be reached, does not have it, or does not give it.
    """
    import huggingface_hub.errors as hub

    try:
        yield
    except (OSError, ValueError) as error:
        causes = list(_chain(error))

        def any_is(*kinds: type[BaseException]) -> bool:
            return any(isinstance(cause, kinds) for cause in causes)

        if any_is(hub.GatedRepoError):
            raise InputError(
                f"The {what} {name} is gated: accept its conditions on the Hugging Face hub and "
                "log in (hf auth login)."
            ) from None
        if any_is(hub.RepositoryNotFoundError, hub.RevisionNotFoundError):
            raise InputError(
                f"The Hugging Face hub has no {what} {name}, or keeps it private: check the name, "
                "or give a local path."
            ) from None
        if any_is(hub.HFValidationError):
            raise InputError(
                f"{str(name)!r} is neither a local path nor a name on the Hugging Face hub "
                "(owner/name): check the spelling."
            ) from None
        if any_is(hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled, ConnectionError):
            raise InputError(
                f"The {what} {name} is neither a local path nor downloaded yet, and the Hugging "
                "Face hub cannot be reached: connect to the network, or give a local path."
            ) from None
        raise


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def first_line(error: BaseException) -> str:
    """The first sentence of an error of somebody else's, for a place in ours."""
    text = str(error).strip() or type(error).__name__
    sentence = text.splitlines()[0].split(". ")[0].rstrip(".: ")
    return sentence if len(sentence) <= 120 else sentence[:120].rsplit(" ", 1)[0] + " ..."
