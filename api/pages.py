"""The page that shows every procedure to people: one HTML document, without script, nothing fetched from elsewhere.

What does not belong here: the procedures themselves; the documents for machines (`openapi`, `typescript`).
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any, cast

from starlette.responses import HTMLResponse, Response

from api.trpc.procedures import Kind, Procedure
from api.trpc.schemas import Schema, Schemas, nullable, schemas

_STYLE = """\
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem 1rem 4rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 3rem; } h3 { margin: 2rem 0 0; font-size: 1.05rem; }
code, pre { font: 0.9em/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; padding: 0.75rem; border: 1px solid var(--line); border-radius: 6px; }
table { width: 100%; border-collapse: collapse; margin: 0.5rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.75rem 0.3rem 0; border-top: 1px solid var(--line); }
.kind { font-size: 0.8rem; padding: 0.05rem 0.5rem; border: 1px solid var(--line); border-radius: 1rem; }
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
<h1>{title}</h1>
<p>Every procedure is called over HTTP, as <a href="https://trpc.io/docs/rpc">tRPC</a>'s clients do it, with a bearer
token. Queries are read by GET, or by POST where the input should not stand in a URL; mutations are sent by POST.
The same as an <a href="openapi.json">OpenAPI document</a>.</p>
<pre><code>const links = [httpBatchLink({{ url: origin + "{prefix}", headers }})];
const trpc = createTRPCClient&lt;AppRouter&gt;({{ links }});</code></pre>
<pre><code>curl -H "Authorization: Bearer $TOKEN" "$ORIGIN{prefix}/{example}"</code></pre>
<p>What a call returned is under <code>result.data</code>; why it failed is under <code>error</code>:
<code>error.data.code</code> says what kind of failure it is, <code>error.message</code> what to do.</p>
<h2 id="procedures">Procedures</h2>
<ul>
{contents}
</ul>
{procedures}
<h2 id="models">Models</h2>
{models}
</html>
"""

_LIMITS: Mapping[str, str] = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matches {}",
}


def procedures_page(procedures: Iterable[Procedure], *, title: str, prefix: str) -> Response:
    """Return the page, with the policy under which a browser may show it."""
    listed = list(procedures)
    known = schemas(listed, "{model}")
    text = _PAGE.format(
        title=escape(title),
        style=_STYLE,
        prefix=escape(prefix),
        example=escape(next((one.path for one in listed if one.kind is Kind.QUERY and one.input is None), "")),
        contents="\n".join(f'<li><a href="#{one.path}"><code>{one.path}</code></a></li>' for one in listed),
        procedures="\n".join(_procedure(one, known) for one in listed),
        models="\n".join(_model(name, known.models[name]) for name in sorted(known.models)),
    )
    return HTMLResponse(text, headers={"content-security-policy": _CONTENT_SECURITY_POLICY})


def _procedure(procedure: Procedure, known: Schemas) -> str:
    taken = known.inputs.get(procedure.path)
    given = "nothing" if taken is None else f"<code>{_type(taken)}</code>{' or nothing' if nullable(taken) else ''}"
    role = f"role <code>{procedure.role}</code>" if procedure.role else "any role"
    return (
        f'<h3 id="{procedure.path}"><code>{procedure.path}</code> <span class="kind">{procedure.kind}</span></h3>\n'
        f"<p>{escape(procedure.description)}<br>Takes {given}, "
        f"returns <code>{_type(known.outputs[procedure.path])}</code>; {role}.</p>"
    )


def _model(name: str, schema: Schema) -> str:
    description = f"<p>{escape(schema['description'])}</p>" if "description" in schema else ""
    head = f'<h3 id="model-{name}"><code>{name}</code></h3>\n{description}'
    if "properties" not in schema:
        return f"{head}<p><code>{_type(schema)}</code></p>"
    required = schema.get("required", ())
    rows = [_field(field, one, required=field in required) for field, one in schema["properties"].items()]
    heading = "<tr><th>Field<th>Type<th>Meaning</tr>"
    return "\n".join([head, "<table>", heading, *rows, "</table>"])


def _field(name: str, schema: Schema, *, required: bool) -> str:
    limits = [text.format(schema[word]) for word, text in _LIMITS.items() if word in schema]
    if not required and schema.get("default") is not None:
        limits.append(f"{json.dumps(schema['default'])} if left out")
    meaning = ". ".join([*([schema["description"].rstrip(".")] if "description" in schema else []), *limits])
    optional = "" if required else "?"
    return f"<tr><td><code>{name}{optional}</code><td><code>{_type(schema)}</code><td>{escape(meaning)}</tr>"


def _type(schema: Schema) -> str:
    """Return a schema that is no model as TypeScript would write it, with links to the models, as HTML."""
    if "$ref" in schema:
        return f'<a href="#model-{schema["$ref"]}">{schema["$ref"]}</a>'
    if "const" in schema or "enum" in schema:
        return " | ".join(escape(json.dumps(value)) for value in schema.get("enum", [schema.get("const")]))
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " | ".join(dict.fromkeys(_type(part) for part in schema[word]))
    return _NOTATIONS.get(schema.get("type", ""), _unknown)(schema)


def _array(schema: Schema) -> str:
    item = _type(schema.get("items", {}))
    return f"({item})[]" if " | " in item else f"{item}[]"


def _record(schema: Schema) -> str:
    values = schema.get("additionalProperties")
    key = _type(schema["propertyNames"]) if "propertyNames" in schema else "string"
    written = _type(cast("dict[str, Any]", values)) if isinstance(values, dict) else "unknown"
    return f"Record&lt;{key}, {written}&gt;"


def _string(schema: Schema) -> str:
    return "string (ISO 8601)" if schema.get("format") == "date-time" else "string"


def _unknown(_schema: Schema) -> str:
    return "unknown"


_NOTATIONS: Mapping[str, Callable[[Schema], str]] = {
    "string": _string,
    "integer": lambda _: "integer",
    "number": lambda _: "number",
    "boolean": lambda _: "boolean",
    "null": lambda _: "null",
    "array": _array,
    "object": _record,
}
