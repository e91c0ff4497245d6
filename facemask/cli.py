"""The command line: `facemask fit|validate|test|predict` and the other verbs."""

import argparse
import atexit
import difflib
import inspect
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Final, NoReturn

from facemask import __version__
from facemask._distribution import check_package, missing_library, warn_of_malicious_release
from facemask.errors import INTERRUPTED, InputError, input_error, sentence_of
from facemask.folders import empty_folders_removed
from facemask.imports import garbage_left_alone
from facemask.interrupts import closed_pipes_heeded
from facemask.memory import share_memory
from facemask.threads import let_waiting_threads_sleep
from facemask.training import TRAINER_VERBS
from facemask.verbosity import VERBOSE, choices_told, notices_told

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


VERBS: Final[dict[str, tuple[str, str]]] = {
    "annotations": (
        "facemask.annotations.command:annotations",
        "Write masks for COCO, CVAT or Label Studio to correct by hand, and read them back.",
    ),
    "app": (
        "facemask.app.command:app",
        "Open a web page on this machine that gives face masks of videos, photos and a camera.",
    ),
    "calibrate": (
        "facemask.training.calibrate:calibrate",
        "Choose offsets of a network's classes for which the validation's mean IoU is highest.",
    ),
    "experiment": (
        "facemask.experiment.command:experiment",
        "Run a plan of trainings and tests: the paper's tables, or fine-tuning of shipped weights.",
    ),
    "export": (
        "facemask.export.command:export",
        "Write a model's networks as ONNX, OpenVINO or torch.export files, checked against torch.",
    ),
    "extract": (
        "facemask.extraction.command:extract",
        "Find, follow and label every face of videos and photos.",
    ),
    "landmarks": (
        "facemask.annotate.command:landmarks",
        "Annotate your own videos with dlib's 68 landmarks, as `facemask prepare` reads them.",
    ),
    "prepare": (
        "facemask.data.prepare:prepare",
        "Turn annotated videos or stills into a data set to train on (300VW-Mask layout).",
    ),
    "report": (
        "facemask.report.command:report",
        "Compare test runs: the paper's tables and figures as HTML, Markdown, CSV and PNG.",
    ),
    "show": (
        "facemask.data.show:show",
        "Draw clips as training or scoring gets them, with masks and boxes, into one picture.",
    ),
    "synth": (
        "facemask.data.synthetic.writer:synthesize",
        "Write synthetic face videos with exact landmarks, laid out like 300VW.",
    ),
    "weights": (
        "facemask.weights.command:weights",
        "List the weights that come with facemask, say what is in a model's file, or check them.",
    ),
}
"""Verbs beside Lightning's own: the function, imported when it is called, and its first line."""
_KEPT: Final = {
    "experiment": "what is trained is kept, and the same command goes on",
    "landmarks": "the videos told above are done; give the others again",
    "prepare": "the videos that are done are kept, and the same command goes on with the others",
    "synth": "the videos that are done are kept, and the same command goes on with the others",
}
"""Sentences on what is kept after Ctrl-C, for verbs that do not say it themselves."""
_SHORT: Final = {"-o": "--out", "--as": "--treat_as"}
"""Options' shorter names; `as` cannot be the name of a parameter in Python."""
_TRUTH_VALUES: Final = ("true", "false", "yes", "no", "on", "off")
"""Words that jsonargparse reads as a truth value, in any case of letters."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Wrong input ends with one sentence on standard error and exit status 2, Ctrl-C with one and 130,
    and an output that nobody reads any more (`| head`) without a word and 141. None of them leaves
    an empty folder that was not there before.

    Args:
        args: Arguments after the program's name; None takes those of the process.
    """
    with closed_pipes_heeded(), empty_folders_removed():
        _run(list(sys.argv[1:] if args is None else args), for_good=args is None)


def _run(arguments: list[str], *, for_good: bool) -> None:
    """Do what the arguments say, and put what goes wrong into a sentence."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would look online at import
    let_waiting_threads_sleep()  # before torch is imported
    share_memory()
    try:
        check_package()
        warn_of_malicious_release()
        if arguments and arguments[0] in VERBS:
            with garbage_left_alone(for_good=for_good):
                function = verb_function(arguments[0])
                options = parse_verb(arguments[0], arguments[1:])
            told = notices_told(lambda text: sys.stderr.write(f"{text}\n"))
            with told, choices_told(options.pop("verbose", False)):
                function(**options)
        elif arguments and arguments[0] in ("-h", "--help", "--version"):
            _overview().parse_args(arguments[:1])
        elif arguments and arguments[0] in TRAINER_VERBS:
            with garbage_left_alone(for_good=for_good):
                from facemask.training.cli import run_trainer  # Lightning takes seconds to import

            run_trainer(arguments)
        else:
            known = (*TRAINER_VERBS, *VERBS)
            given = f"{arguments[0]!r} is not a verb" if arguments else "no verb was given"
            near = difflib.get_close_matches(arguments[0], known, 1) if arguments else []
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise InputError(
                f"{given}{meant}: give one of {', '.join(known)}; facemask --help says what each "
                "does."
            )
    except KeyboardInterrupt as interrupt:
        kept = str(interrupt) or _KEPT.get(arguments[0], "nothing more is written")
        sys.stderr.write(f"\nfacemask: stopped by Ctrl-C: {kept}.\n")
        if for_good and any(thread.daemon for thread in threading.enumerate()):
            # the second Ctrl-C left them at work, in the midst of which Python's end would abort
            atexit.register(os._exit, INTERRUPTED)
        raise SystemExit(INTERRUPTED) from interrupt
    except Exception as error:
        wrong_input = input_error(error) or missing_library(error, f"facemask {arguments[0]}")
        if wrong_input is None:
            raise
        sys.stderr.write(f"facemask: error: {sentence_of(wrong_input)}\n")
        raise SystemExit(2) from error


def _overview() -> argparse.ArgumentParser:
    """Return a parser that knows the verbs and no more, so that nothing has to be imported."""
    parser = argparse.ArgumentParser(prog="facemask", description="Dense face masks from video.")
    parser.add_argument("--version", action="version", version=f"facemask {__version__}")
    verbs = parser.add_subparsers(
        title="verbs", dest="verb", required=True, metavar="VERB",
        description="`facemask VERB --help` lists the options of a verb.",
    )  # fmt: skip
    for verb, text in (TRAINER_VERBS | {verb: text for verb, (_, text) in VERBS.items()}).items():
        verbs.add_parser(verb, help=text)
    return parser


def verb_function(verb: str) -> Callable[..., None]:
    """Import the function of a verb beside Lightning's own."""
    function: Callable[..., None] = resolve_name(VERBS[verb][0])
    return function


def verb_parser(verb: str) -> "ArgumentParser":
    """Return a parser of a verb's options, from its function's signature."""
    from facemask.parser_errors import SentenceParser

    function = verb_function(verb)

    class VerbParser(SentenceParser):
        """A parser whose help and errors have the names that are to be given."""

        def format_help(self, formatter: argparse.HelpFormatter | None = None) -> str:
            return super().format_help(formatter).replace(f"{_SHORT['--as']} ", "--as ")

        def error(self, message: str, ex: Exception | None = None) -> NoReturn:
            super().error(message.replace('"treat_as"', '"--as"'), ex)

    parser = VerbParser(prog=f"facemask {verb}", description=VERBS[verb][1])
    parser.add_argument("-c", "--config", action="config", help="YAML file with these options.")
    lists = _word_lists(function)
    *_, last = inspect.signature(function).parameters
    for parameter in lists:
        if parameter.name != last:
            _add_words(parser, parameter)
    parser.add_function_arguments(function, as_positional=True, skip={p.name for p in lists})
    parser.add_argument("--verbose", type=bool, default=False, help=VERBOSE)
    for parameter in lists:
        if parameter.name == last:  # its words come after all others
            _add_words(parser, parameter)
    return parser


def _word_lists(function: Callable[..., None]) -> list[inspect.Parameter]:
    """Return the parameters that take several words; jsonargparse takes a list as one, [a,b]."""
    parameters = inspect.signature(function).parameters.values()
    return [p for p in parameters if p.annotation in (list[str], Sequence[str])]


def _add_words(parser: "ArgumentParser", parameter: inspect.Parameter) -> None:
    name, required = parameter.name, parameter.default is parameter.empty
    default: dict[str, Any] = {} if required else {"default": list(parameter.default)}
    if parameter.kind is parameter.KEYWORD_ONLY:
        parser.add_argument(f"--{name}", nargs="+", type=str, required=required, **default)
    else:
        nargs = "+" if required else "*"
        parser.add_argument(name, nargs=nargs, type=str, metavar=name.upper(), **default)


def _with_values(function: Callable[..., None], arguments: Sequence[str]) -> list[str]:
    """Let `--flag` stand for `--flag=true` (jsonargparse wants a value), and `-o` for `--out`.

    A word behind a flag is its value only if it reads as one (`--flag false`); else it is an input,
    and is put before the flag, so that all inputs stay together (argparse takes one run of them).
    Behind a flag that is on anyway any word is its value: nobody would give it alone.
    """
    parameters = inspect.signature(function).parameters
    flags = {f"--{p.name}": p.default for p in parameters.values() if p.annotation is bool}
    flags["--verbose"] = False
    shorts = {short: long for short, long in _SHORT.items() if long[2:] in parameters}
    words = [_in_full(word, shorts) for word in arguments]
    end = words.index("--") if "--" in words else len(words)  # behind it there are only inputs
    result: list[str] = []
    first_flag = 0  # of those at the end of the result
    for word, before in zip(words[:end], ["", *words], strict=False):
        if word in flags and not (result and _awaits_value(result[-1])):
            result.append(f"{word}=true")
        elif before in flags and first_flag < len(result) and _is_value(word, flags[before]):
            result[-1] = f"{before}={word}"
        elif word.startswith("-"):
            result.append(word)
            first_flag = len(result)
        else:
            result.insert(first_flag, word)
            first_flag += 1
    return result + words[end:]


def _in_full(word: str, shorts: dict[str, str]) -> str:
    name, equals, value = word.partition("=")
    return f"{shorts.get(name, name)}{equals}{value}"


def _is_value(word: str, is_on_anyway: bool) -> bool:
    """Return whether a word behind a flag is its value."""
    return word.lower() in _TRUTH_VALUES or (is_on_anyway and not word.startswith("-"))


def _awaits_value(word: str) -> bool:
    """Return whether this is an option without its value, so that the next word is its value."""
    return word == "-c" or (word.startswith("--") and "=" not in word)


def parse_verb(verb: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of a verb's function, and `verbose`, from the words of its command."""
    options = verb_parser(verb).parse_args(_with_values(verb_function(verb), arguments))
    options.pop("config", None)
    return dict(options.as_dict())
