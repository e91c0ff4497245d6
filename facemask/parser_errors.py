"""Errors of the command line's parsers, each as one sentence."""

import re
from typing import NoReturn

from jsonargparse import ArgumentParser

from facemask.configuration import near_name
from facemask.errors import InputError


def one_sentence(message: str) -> str:
    """Turn an error of jsonargparse over many lines into one sentence without its full stop.

    Examples:
        >>> one_sentence('Parser key "size": Expected a typing.Literal[1, 2]. Got value: 3')
        "size is '3', expected one of 1, 2"
    """
    key = re.match(r'Parser key "(.+?)"', message)
    if key:
        unknown = re.search(r"Option .+ is not accepted", message)
        if unknown:
            return f"{key[1]}: {unknown[0]}"
        choice = re.search(r"Expected a typing\.Literal\[(.+)\]\. Got value: (.+)", message)
        if choice:
            return f"{key[1]} is {choice[2]!r}, expected one of {choice[1]}"
        flag = re.search(r"Expected a <class 'bool'>\. Got value: (.+)", message)
        if flag:
            return f"{key[1]} is {flag[1]!r}, expected on or off"
        types = re.search(r"Subtypes: \[(.+)\]\n", message)
        value = re.search(r"Given value: (.+)", message)
        if types and value:
            names = re.sub(r"<class '([\w.]+)'>|typing\.", r"\1", types[1])
            return f"{key[1]} is {value[1]}, expected one of: {names.replace('NoneType', 'null')}"
    return " ".join(message.split()).rstrip(".")


class SentenceParser(ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise an `InputError` instead of printing every option there is."""
        if not self.exit_on_error:  # a part of another parser, which will say what is wrong
            super().error(message, ex)
        sentence = one_sentence(message)
        raise InputError(f"{sentence}{near_name(sentence)}; --help lists the options.") from ex
