"""Partial answers: the query parameters `fields` and `exclude_fields`."""

from collections.abc import Iterable, Mapping
from typing import cast

from sandbox.model import problems
from sandbox.model.problems import FieldError
from sandbox.web.queries import Query

Tree = dict[str, "Tree"]
"""Nested names. An empty tree selects everything below a name."""

_OPTIONAL_NAMES = frozenset(
    {
        "report_summary",
        "marketing_permissions",
        "total_contacts",
        "proxy_excluded_opens",
        "proxy_excluded_unique_opens",
        "proxy_excluded_open_rate",
        "last_note",
        "rss_opts",
        "variate_settings",
        "ab_split_opts",
        "social_card",
    }
)
"""Names that `fields` accepts although this answer does not contain them."""


def project(body: object, query: Query, samples: Mapping[str, object]) -> object:
    """Return the part of the body that the query selects. Names start at the root and are separated by dots.

    `lists` has one sample item for each array, so that names can be checked when the array is empty.
    """
    wanted, unwanted = query.text("fields"), query.text("exclude_fields")
    if wanted is not None and unwanted is not None:
        detail = "The fields and exclude_fields parameters cannot be used together."
        raise problems.invalid(detail)
    if wanted is not None:
        return _keep(body, _tree("fields", wanted, _with_entries(body, samples)))
    if unwanted is not None:
        return _drop(body, _tree("exclude_fields", unwanted, _with_entries(body, samples)))
    return body


def _with_entries(body: object, samples: Mapping[str, object]) -> object:
    if not samples or not isinstance(body, Mapping):
        return body
    given = cast("Mapping[str, object]", body)
    return {**given, **{name: [entry] for name, entry in samples.items() if not given[name]}}


def _tree(parameter: str, names: str, body: object) -> Tree:
    tree: Tree = {}
    for name in filter(None, (part.strip() for part in names.split(","))):
        path = name.split(".")
        if not _exists(body, path):
            raise problems.invalid_schema(FieldError(parameter, f"Invalid field name: {name}"))
        branch = tree
        for step in path:
            branch = branch.setdefault(step, {})
    return tree


def _exists(body: object, path: list[str]) -> bool:
    if not path:
        return True
    if isinstance(body, list):
        items = cast("list[object]", body)
        return not items or any(_exists(item, path) for item in items)
    if not isinstance(body, Mapping):
        return False
    given = cast("Mapping[str, object]", body)
    return _exists(given[path[0]], path[1:]) if path[0] in given else path[0] in _OPTIONAL_NAMES


def _keep(body: object, tree: Tree) -> object:
    if not tree:
        return body
    if isinstance(body, list):
        return [_keep(item, tree) for item in cast("list[object]", body)]
    if isinstance(body, Mapping):
        given = cast("Mapping[str, object]", body)
        return {name: _keep(given[name], below) for name, below in tree.items() if name in given}
    return body


def _drop(body: object, tree: Tree) -> object:
    if isinstance(body, list):
        return [_drop(item, tree) for item in cast("list[object]", body)]
    if isinstance(body, Mapping):
        return dict(_left(cast("Mapping[str, object]", body), tree))
    return body


def _left(body: Mapping[str, object], tree: Tree) -> Iterable[tuple[str, object]]:
    for name, value in body.items():
        below = tree.get(name)
        if below is None:
            yield name, value
        elif below:
            yield name, _drop(value, below)
