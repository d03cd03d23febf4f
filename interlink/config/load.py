"""Reads InterLinkConfig.yaml into the typed model: the file first, the environment over it, every fault named.

Called once by each service's command; the search order is the --config flag, INTERLINKCONFIGPATH,
./kustomizations/InterLinkConfig.yaml, /etc/interlink/InterLinkConfig.yaml; behind them what today's Slurm plugin reads.
"""

import dataclasses
import difflib
import os
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from interlink.config import plugin
from interlink.config.model import Config

DEFAULT_PATHS = (
    Path("kustomizations/InterLinkConfig.yaml"), Path("/etc/interlink/InterLinkConfig.yaml"), plugin.DEFAULT_PATH
)  # fmt: skip
PATH_VARIABLES = ("INTERLINKCONFIGPATH", plugin.PATH_VARIABLE)


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file, the key and what to write instead."""


def load_config(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration of the file, with the environment's values over it.

    Without any file all defaults hold. Raises ConfigError.
    """
    return load_with_notes(path, environ)[0]


def load_with_notes(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> tuple[Config, list[str]]:
    """Return the configuration, and a sentence on each of its keys that mean nothing here. Raises ConfigError."""
    source = find_file(path, environ)
    document, notes = plugin.without_meaningless(read_document(source) if source else {})
    values = section_values(Config, document, where=str(source), prefix="")
    for spec in dataclasses.fields(Config):
        variable = spec.metadata["env"]
        if variable and environ.get(variable):
            values[spec.name] = convert(environ[variable], _hint(Config, spec.name), f"environment variable {variable}")
    config = Config(**{**values, **plugin.sidecar_address(values)})
    if not config.data_root_folder.is_absolute():
        config = dataclasses.replace(config, data_root_folder=config.data_root_folder.absolute())
        notes.append(
            f"key DataRootFolder is relative, and taken as {config.data_root_folder}: write it with a leading /"
        )
    return config, [f"{source}: {note}" for note in notes]


def find_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the first configuration file of the search order, None where there is none.

    Raises ConfigError where a file was named and is not there.
    """
    named = path or next((Path(environ[name]) for name in PATH_VARIABLES if environ.get(name)), None)
    if named:
        if not named.is_file():
            raise ConfigError(f"{named}: no such file; name an existing one with --config or {PATH_VARIABLES[0]}")
        return named
    return next((candidate for candidate in DEFAULT_PATHS if candidate.is_file()), None)


def read_document(path: Path) -> dict[str, Any]:
    """Return the YAML mapping in the file, an empty one for an empty file. Raises ConfigError."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must hold keys with values, as `InterlinkPort: 3000`, not a {_kind(document)}")
    return document


def section_values(model: type, document: Mapping[Any, Any], where: str, prefix: str) -> dict[str, Any]:
    """Return the model's attributes that the mapping sets, converted; unknown keys are refused by name."""
    by_key = {spec.metadata["key"]: spec for spec in dataclasses.fields(model)}
    values = {}
    for name, value in document.items():
        spec = by_key.get(name)
        if spec is None:
            raise ConfigError(_unknown_key(str(name), list(by_key), where, prefix))
        if value is not None:
            values[spec.name] = convert(value, _hint(model, spec.name), f"{where}: key {prefix}{name}")
    return values


def convert(value: Any, hint: Any, where: str) -> Any:
    """Return the value as the type that the key wants. Raises ConfigError naming ``where``."""
    if typing.get_origin(hint) is types.UnionType:
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if typing.get_origin(hint) in (list, dict) or dataclasses.is_dataclass(hint):
        return _convert_composite(value, hint, where)
    if hint is bool:
        return _convert_bool(value, where)
    if hint in (int, float):
        return _convert_number(value, hint, where)
    if isinstance(value, (dict, list)):
        raise ConfigError(f"{where}: must be a text, not a {_kind(value)}")
    return hint(value)


def _convert_composite(value: Any, hint: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: must hold keys with values, not a {_kind(value)}")
        assert isinstance(hint, type)  # noqa: S101 - for the type checker: a dataclass, not an instance of one
        return hint(**section_values(hint, value, where, prefix=""))
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is list:
        if not isinstance(value, list):
            raise ConfigError(f"{where}: must be a list, not a {_kind(value)}")
        return [convert(item, arguments[0], f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, list) and value and all(isinstance(item, str) and "=" in item for item in value):
        value = dict(item.split("=", 1) for item in value)  # as today's interLink writes NodeLabels
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: must hold names with values, not a {_kind(value)}")
    return {str(name): convert(item, arguments[1], f"{where}.{name}") for name, item in value.items()}


def _convert_bool(value: Any, where: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, bool):
        return value
    if str(value).lower() in words:
        return words[str(value).lower()]
    raise ConfigError(f"{where}: must be true or false, not {value!r}")


def _convert_number(value: Any, hint: type[int] | type[float], where: str) -> int | float:
    try:
        number = hint("true" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{where}: must be a number, not {value!r}") from None
    if number < 0:
        raise ConfigError(f"{where}: must not be negative, and is {value}")
    return number


def _unknown_key(name: str, known: list[str], where: str, prefix: str) -> str:
    by_lower = {key.lower(): key for key in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.0)
    return (
        f"{where}: unknown key {prefix}{name}; the nearest valid key is {prefix}{by_lower[near[0]]} "
        "(`interlink config reference` lists them all)"
    )


def _hint(model: type, name: str) -> Any:
    return typing.get_type_hints(model)[name]


def _kind(value: Any) -> str:
    names: dict[type, str] = {dict: "mapping", list: "list", str: "text"}
    return names.get(type(value), type(value).__name__)
