"""Models in folders and Hugging Face repositories."""

import json
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar, cast

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import nn

from facemask import __version__
from facemask.checkpoints import load_weights, unreadable
from facemask.errors import InputError
from facemask.files import make_folder, write_atomic
from facemask.hub import DEFAULT_FILE, RepositoryFile, download, parse_id, upload
from facemask.models.normalisation import describe_normalisation, take_normalisation
from facemask.origin import (
    Origin,
    descent_in_words,
    describe_origins,
    hub_licence,
    origins_of,
    read_origins,
)

Model = TypeVar("Model", bound="Shared")
Network = TypeVar("Network", bound="SharedNetwork")

_KEY: Final = "facemask_network"
"""Key of the JSON in a network's file: what it takes to build it."""
CARD_KEY: Final = "facemask_card"
"""Key of the model card, in Markdown, in the metadata of networks' and cascades' files."""
_HEAD: Final = """---
library_name: facemask
pipeline_tag: image-segmentation
tags: [face-parsing, face-segmentation, video]
"""


class Shared:
    """Base of models that folders and Hugging Face repositories hold.

    Tensors are safetensors; no code is run from what is read. The model card is README.md. What a
    network's weights were trained from and on goes with them, and with it the terms of use.

    Attributes:
        shared_file: Name of the file of tensors.
        card: The model card, Markdown, of the file that the model was read from, if it had one.
        origins: Weights and data that it comes from, where known; a cascade's networks have them.
    """

    shared_file: ClassVar[str] = DEFAULT_FILE
    card: str | None = None
    origins: tuple[Origin, ...] = ()

    def save_pretrained(self, folder: str | Path, card: str | None = None) -> None:
        """Write the model and its card into a folder, which is made if it is missing.

        Args:
            folder: The folder. Files of these names there are replaced.
            card: The model card in Markdown; None keeps that of the file that the model was read
                from, or writes one of what is known. The licence that the Hub shows is that of the
                weights' descent, unless the card begins with front matter of its own.

        Raises:
            InputError: It cannot be written, or the model cannot be built from a file.
        """
        place = Path(folder)
        make_folder(place)
        text = self._card("owner/name") if card is None else card
        cast("Any", self).save(place / self.shared_file, card=text)
        licence = hub_licence(origins_of(cast("nn.Module", self)))
        head = "" if text.startswith("---\n") else f"{_HEAD}{licence}---\n"
        write_atomic(place / "README.md", f"{head}\n{text.strip()}\n".encode())

    @classmethod
    def from_pretrained(
        cls: type[Model], source: str | Path, *, revision: str | None = None
    ) -> Model:
        """Read a model from a folder, a file or a Hugging Face repository.

        What is cached is used without network.

        Args:
            source: A folder of `save_pretrained`, a file in it, or a repository id, "owner/name" or
                "owner/name@revision".
            revision: A branch, tag or commit of the repository; None is the main branch.

        Returns:
            The model in eval mode on the CPU.

        Raises:
            InputError: There is no such thing, it cannot be reached, or it holds something else.
        """
        path = Path(source)
        if path.is_dir():
            path /= cls.shared_file
        elif not path.is_file():
            wanted = parse_id(str(source))
            if wanted is None:
                raise InputError(
                    f"{source}: no such folder or file: give one that save_pretrained wrote, or a "
                    "Hugging Face repository id 'owner/name'; weights that come with facemask are "
                    "read by facemask.weights.load_model."
                )
            at = wanted.revision if revision is None else revision
            # a branch may have slashes, too: refs/pr/1
            names_file = str(source).partition("@")[0].count("/") > 1
            file = wanted.file if names_file else cls.shared_file
            path = download(RepositoryFile(wanted.given, wanted.repository, file, at))
        return cast("Model", cast("Any", cls).load(path))

    def push_to_hub(
        self, repository: str, *, card: str | None = None, private: bool = False
    ) -> str:
        """Save the model in a Hugging Face repository, which is made if it is missing.

        Log in with `hf auth login` first.

        Args:
            repository: Its id, "owner/name".
            card: As in `save_pretrained`.
            private: Whether a new repository is private.

        Returns:
            The address of the commit.

        Raises:
            InputError: It cannot be reached, or the log-in does not allow it.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, self._card(repository) if card is None else card)
            return upload(repository, Path(folder), private)

    def _card(self, repository: str) -> str:
        """Return the model's card, or one that says how to load it, and no more than is known."""
        if self.card is not None:
            return self.card
        name = type(self).__name__
        descent = descent_in_words(origins_of(cast("nn.Module", self)))
        known = f"What it was trained from and on:\n\n{descent}\n\n" if descent else ""
        unknown = "Scores and limits" if descent else "Training data, licence, scores and limits"
        return (
            f"## {repository}\n\nA {name} of "
            "[facemask](https://pypi.org/project/facemask-video/): dense face masks from video.\n\n"
            f"```python\nfrom facemask.models import {name}\n\n"
            f'model = {name}.from_pretrained("{repository}")\n```\n\n'
            f"{known}{unknown}: not stated.\n"
        )


class SharedNetwork(Shared):
    """A network whose constructor takes what `description` returns."""

    shared_file = "network.safetensors"

    def save(self, path: str | Path, card: str | None = None) -> None:
        """Write the network into a safetensors file, whole or not at all.

        Args:
            path: The file.
            card: Model card in Markdown, kept in the file; None keeps that of the file that the
                network was read from.

        Raises:
            InputError: It cannot be written.
        """
        network = cast("Any", self)
        content = {
            "network": type(self).__name__,
            "facemask_version": __version__,
            "arguments": network.description(),
            "normalisation": describe_normalisation(network),
        } | describe_origins(origins_of(network))
        card = self.card if card is None else card
        tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
        metadata = {_KEY: json.dumps(content)} | ({} if card is None else {CARD_KEY: card})
        write_atomic(Path(path), safetensors.torch.save(tensors, metadata))

    @classmethod
    def load(cls: type[Network], path: str | Path) -> Network:
        """Read what `save` wrote; no code is run from the file.

        Args:
            path: The file.

        Returns:
            The network in eval mode on the CPU.

        Raises:
            InputError: The file is missing or damaged, or holds another network.
        """
        path = Path(path)
        try:
            if not path.is_file():
                raise InputError(f"{path}: no such file; give one that {cls.__name__}.save wrote.")
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                content = json.loads(metadata.get(_KEY, "null"))
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, json.JSONDecodeError) as error:
            damaged = "is no safetensors file, or a damaged or truncated one"
            raise unreadable(path, error, damaged, f"give one of {cls.__name__}.save") from error
        found = content.get("network") if isinstance(content, dict) else None
        if found != cls.__name__:
            what = "no network of facemask's" if found is None else f"a {found}"
            raise InputError(f"{path}: holds {what}, expected a {cls.__name__}.")
        try:
            network = cast("Any", cls)(**content["arguments"], pretrained=None)
            network.card = metadata.get(CARD_KEY)
            network.origins = read_origins(content)
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{path}: its description of the network is damaged or of another version: it was "
                f"written by facemask {content.get('facemask_version')}."
            ) from error
        load_weights(network, tensors, path)
        take_normalisation(network, content.get("normalisation", {}))
        return cast("Network", network.eval())
