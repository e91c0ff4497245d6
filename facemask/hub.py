"""Saved cascades in Hugging Face repositories."""

import contextlib
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from facemask import __version__
from facemask.errors import InputError, cause_of

DEFAULT_FILE: Final = "cascade.safetensors"
_WORD: Final = r"\w[\w.-]*"  # begins with no dot, so ./here and ../there are paths
_ID: Final = re.compile(
    rf"({_WORD}/{_WORD})(?:/((?:{_WORD}/)*{_WORD}\.safetensors))?(?:@(\S+))?", re.ASCII
)
_MODEL_SUFFIXES: Final = (".safetensors", ".ckpt", ".pt", ".pth")


@dataclass(frozen=True)
class RepositoryFile:
    """File in a Hugging Face repository.

    Attributes:
        given: What it was read from, for error messages.
        repository: "owner/name".
        file: Its path in the repository.
        revision: A branch, tag or commit; None is the main branch.
    """

    given: str
    repository: str
    file: str = DEFAULT_FILE
    revision: str | None = None


def parse_id(text: str) -> RepositoryFile | None:
    """Read "owner/name", "owner/name@revision" or "owner/name/file.safetensors@revision".

    Args:
        text: What a user gave as a model.

    Returns:
        The file; None where the text looks like a path, such as "runs/best.ckpt".

    Examples:
        >>> parse_id("owner/name@v1")
        RepositoryFile(given='owner/name@v1', repository='owner/name', \
file='cascade.safetensors', revision='v1')
        >>> parse_id("runs/best.ckpt")
    """
    match = _ID.fullmatch(text)
    if match is None or match[1].endswith(_MODEL_SUFFIXES):
        return None
    return RepositoryFile(text, match[1], match[2] or DEFAULT_FILE, match[3])


def download(wanted: RepositoryFile) -> Path:
    """Return a repository's file on this machine, without network where it is cached.

    Args:
        wanted: The file.

    Returns:
        Its path in the cache of huggingface_hub.

    Raises:
        InputError: It is not cached, and there is no connection, no such repository, revision or
            file, or no access to it.
    """
    from huggingface_hub import errors, hf_hub_download  # takes a while, and few ask for it

    # a line for each of its attempts to connect would bury the sentence that tells what to do
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    place = (wanted.repository, wanted.file)
    path = None
    try:
        with contextlib.suppress(errors.LocalEntryNotFoundError):
            path = hf_hub_download(*place, revision=wanted.revision, local_files_only=True)
        if path is None:
            path = hf_hub_download(*place, revision=wanted.revision)
    except Exception as error:  # what the HTTP library raises depends on the hub's version
        raise InputError(f"{wanted.given}: no such file here, and {_say(error, wanted)}") from error
    return Path(path)


def upload(repository: str, folder: Path, private: bool) -> str:
    """Put the files of a folder into a repository, which is made if it is missing.

    Args:
        repository: "owner/name".
        folder: The folder.
        private: Whether a new repository is private.

    Returns:
        The address of the commit.

    Raises:
        InputError: The name is none, there is no connection, or the log-in does not allow it.
    """
    from huggingface_hub import HfApi, errors

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        api = HfApi(library_name="facemask", library_version=__version__)
        api.create_repo(repository, private=private, exist_ok=True)
        said = f"facemask {__version__}"
        return str(api.upload_folder(repo_id=repository, folder_path=folder, commit_message=said))
    except errors.HFValidationError as error:
        raise InputError(
            f"{repository!r} cannot name a Hugging Face repository: give an id 'owner/name'."
        ) from error
    except Exception as error:  # what the HTTP library raises depends on the hub's version
        status = getattr(getattr(error, "response", None), "status_code", None)
        do = (
            "log in with `hf auth login` as someone who may write there"
            if status in (401, 403)
            else "connect without HF_HUB_OFFLINE"
            if isinstance(error, errors.OfflineModeIsEnabled)
            else "try again, or save_pretrained into a folder"
        )
        raise InputError(
            f"the Hugging Face repository {repository} could not be written to "
            f"({cause_of(error)}): {do}."
        ) from error


def _say(error: Exception, wanted: RepositoryFile) -> str:
    """Say what is wrong and what to do: the end of a sentence."""
    from huggingface_hub import errors

    repository = f"the Hugging Face repository {wanted.repository}"
    unset = "without HF_HUB_OFFLINE " if "HF_HUB_OFFLINE" in os.environ else ""
    # the first that fits: a gated repository's error is one of a missing repository too
    said: dict[type[Exception], str] = {
        errors.LocalEntryNotFoundError: f"{repository} cannot be reached, nor is its "
        f"{wanted.file} in the cache: connect {unset}and run this once, or give a file.",
        errors.GatedRepoError: f"{repository} is gated: accept its terms on its page and log in "
        "with `hf auth login`.",
        errors.RepositoryNotFoundError: f"{repository} does not exist or is private: check its "
        "name, or log in with `hf auth login`.",
        errors.RevisionNotFoundError: f"{repository} has no revision {wanted.revision!r}: check "
        "what follows the @.",
        errors.EntryNotFoundError: f"{repository} has no file {wanted.file!r}: give another as "
        "owner/name/file.safetensors.",
        errors.HFValidationError: f"{wanted.repository!r} cannot name a Hugging Face repository: "
        "give a file, or an id 'owner/name'.",
    }
    otherwise = (
        f"{repository} could not be downloaded from ({cause_of(error)}): try again, or give a file."
    )
    return next((said[kind] for kind in said if isinstance(error, kind)), otherwise)
