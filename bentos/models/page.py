"""The pages of the models: which there are, and what each takes and gives."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from bentos.models.calls import has_flag
from bentos.registry.runs import Run
from bentos.serving.release import Release, Runs
from bentos.serving.slot import Slot
from bentos.web.headers import PAGE_HEADERS, allowed

MOST_METRICS = 100
RUNS: Mapping[Runs, str] = {
    "native": "as native",
    "onnx": "as onnx",
    "runner": "in a process with releases of its own",
    "isolated": "in a process of its own, isolated",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px sans-serif; margin: 2em; max-width: 60em }}
td, th {{ padding: 0 1em .4em 0; text-align: left; vertical-align: top }}
pre {{ background: #f3f3f3; padding: 1em; overflow-x: auto }}
textarea {{ width: 100%; height: 8em; box-sizing: border-box }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
_ASK = """
const form = document.querySelector("form"), {rows, proba, answer} = form.elements;
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const said = await fetch(form.action + (proba?.checked ? "?proba=true" : ""), {
      method: "POST", body: rows.value, headers: {"content-type": "application/json"},
    });
    const version = said.headers.get("x-model-version") ?? said.status;
    answer.value = `${version}: ${await said.text()}`;
  } catch (error) {
    answer.value = error;
  }
});
"""
_FORM = """<form action="{name}/predict" method="post">
<textarea name="rows">{example}</textarea>
<p><button>Ask</button>{proba}</p>
<pre><output name="answer"></output></pre>
</form>
<script>{script}</script>"""
_PROBA = ' <label><input type="checkbox" name="proba"> with probabilities</label>'
HEADERS = PAGE_HEADERS | {
    "content-security-policy": f"{PAGE_HEADERS['content-security-policy']}; "
    f"script-src {allowed(_ASK)}; connect-src 'self'; form-action 'none'"
}


def listed(slots: Sequence[Slot[Any, Any]]) -> str:
    """All promoted models."""
    rows = "\n".join(
        f'<tr><td><a href="{html.escape(quote(slot.name, safe=""))}">{html.escape(slot.name)}</a>'
        f"</td><td>{html.escape(said(slot))}</td></tr>"
        for slot in slots
    )
    empty = "<p>No model is promoted yet. Promote a version of one to Production in MLflow.</p>"
    table = f"<table><tr><th>model</th><th>serves</th></tr>\n{rows}\n</table>"
    return _PAGE.format(title="Models", body=table if slots else empty)


def model(slot: Slot[Any, Any], address: str, run: Run | None) -> str:
    """One model: what serves, its run, its columns, an example and how to send it."""
    parts = [f"<p>{html.escape(said(slot))}</p>"]
    if slot.live and slot.live.schema:
        parts += _release(slot.live, address, run)
    parts.append('<p><a href="./">all models</a></p>')
    return _PAGE.format(title=html.escape(slot.name), body="\n".join(parts))


def said(slot: Slot[Any, Any]) -> str:
    """What serves, or why nothing does, in words."""
    words = []
    if slot.live:
        since = slot.live.since.isoformat(timespec="seconds")
        words.append(f"version {slot.live.version.version} is live since {since}")
    if slot.candidate:
        words.append(f"version {slot.candidate.version} is being checked")
    if slot.refused:
        refused = slot.refused
        words.append(f"version {refused.version} was refused: {refused.reason}: {refused.message}")
    if slot.trouble:
        words.append(slot.trouble)
    return "; ".join(words) or "nothing serves yet"


def _release(release: Release, address: str, run: Run | None) -> list[str]:
    schema = release.schema
    if schema is None:
        return []
    example = release.example.decode()
    curl = f"curl {_quoted(address + '/predict')} \\\n  -H 'content-type: application/json' \\\n" \
           f"  -d {_quoted(example)}"  # fmt: skip
    columns = [(str(column), _values(column.categories)) for column in schema.inputs]
    outputs = [(str(column), "") for column in schema.outputs] or [("prediction", "")]
    name = html.escape(quote(release.version.name, safe=""))
    return [
        f"<p>It runs {RUNS[release.runs]}. {html.escape(release.note)}</p>",
        *_run(release.version.run_id, run),
        f"<h2>Takes</h2><p>as its {schema.source} says</p>{_table(columns)}",
        f"<h2>Gives</h2>{_table(outputs)}",
        f"<h2>Ask it</h2>{_example(release)}<pre>{html.escape(curl)}</pre>",
        _form(release, name, example),
        f'<p><a href="{name}/docs">docs</a>, <a href="{name}/openapi.json">OpenAPI</a>, '
        f'<a href="{name}/releases">releases</a>, <a href="{name}/history">history</a></p>',
    ]


def _run(run_id: str, run: Run | None) -> list[str]:
    """Where the version is from, and how good it was there."""
    if not run_id:
        return []
    if run is None:
        return [f"<h2>Run</h2><p>{html.escape(run_id)}; MLflow does not tell of it now</p>"]
    name = html.escape(f"{run.info.run_name} ({run_id})".lstrip())
    metrics = sorted((metric.key, str(metric.value)) for metric in run.data.metrics)
    return [f"<h2>Run</h2><p>{name}</p>{_table(metrics[:MOST_METRICS])}"]


def _example(release: Release) -> str:
    return "<p>with a row made up of what the model knows</p>" if release.made_up else ""


def _form(release: Release, name: str, example: str) -> str:
    proba = _PROBA if release.probabilities.predict and has_flag(release) else ""
    return _FORM.format(name=name, example=html.escape(example), proba=proba, script=_ASK)


def _table(rows: list[tuple[str, str]]) -> str:
    cells = "".join(
        f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(values)}</td></tr>"
        for name, values in rows
    )
    return f"<table>{cells}</table>"


def _values(categories: Sequence[object] | None) -> str:
    if not categories:
        return ""
    more = f" and {len(categories) - 10} more" if len(categories) > 10 else ""
    return ", ".join(json.dumps(value, ensure_ascii=False) for value in categories[:10]) + more


def _quoted(text: str) -> str:
    """For a shell."""
    return "'" + text.replace("'", "'\\''") + "'"
