"""The committed TypeScript types of the procedures, and type errors in calls to them."""

import pytest

from api.app_router import PATH, app_router_types
from mailchimp_pipeline_tests.api.node_tools import NODE, compile_types, installed

CALLS = {"right": NODE / "pipeline" / "right-calls.ts", "wrong": NODE / "pipeline" / "wrong-calls.ts"}


def compiled(name: str, calls: str) -> list[str]:
    """Return the compiler's errors. All files share a directory with the installed packages."""
    scratch = installed() / "node_modules" / f".scratch-{name}"
    scratch.mkdir(exist_ok=True)
    (scratch / "calls.ts").write_text(calls)
    (scratch / "app-router.d.ts").write_text(app_router_types())
    (scratch / "tsconfig.json").write_text('{"extends": "../../tsconfig.json", "files": ["calls.ts"]}')
    return [line for line in compile_types(scratch).splitlines() if "error TS" in line]


def test_the_committed_types_are_those_of_the_procedures() -> None:
    assert PATH.read_text(encoding="utf-8") == app_router_types(), "run `python -m api.app_router` and commit"


@pytest.mark.parametrize("name", CALLS)
def test_right_calls_compile_and_wrong_ones_do_not(name: str) -> None:
    assert compiled(name, CALLS[name].read_text()) == []


def test_a_wrong_call_is_what_the_compiler_complains_of() -> None:
    wrong = CALLS["wrong"].read_text()
    bare = wrong.replace("@ts-expect-error", "")
    assert len(compiled("bare", bare)) == wrong.count("// @ts-expect-error")
