"""The import rules of the house (reference: architecture B4), by a walk over the syntax trees.

A rule names a file or folder and what it may import beside the standard library; the longest matching path wins.
Files that come later fall under the rule of their folder, and a folder without a rule fails.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
P = "plumeproof."
GROUND = (P + "model", P + "errors", P + "ports", P + "rules.figure", "acqwire")
EVIDENCE = (*GROUND, P + "evidence")
FACES = tuple(
    P + name
    for name in (
        "service",
        "module_stage",
        "delivery_parts",
        "hj212_parts",
        "hj212_link",
        "hj212_document",
        "hj212_listener",
        "profile_desk",
        "inspection",
        "overview",
        "figure_desk",
        "surveillance_desk",
        "parallel_file",
        "calibration_desk",
        "limit_files",
        "ledger_checks",
        "chart_plot",
        "survey_files",
        "figure_files",
        "instants",
        "whole_file",
        "ledger_strips",
        "figure_plot",
        "explanation",
        "plant_file",
        "rule_book",
        "config",
        "model",
        "errors",
        "survey",
        "enrolment",
        "anchor_rotation",
        "gateway_key",
        "stamp_stage",
        "bulk",
        "bulk_longer",
        "bundle.anchors",
        "bundle.writing",
        "bundle.checking",
        "bundle.verdict",
        "agreement",
        "agreement_desk",
        "documents",
        "cbam",
        "hj212",
        "pact",
        "pact_config",
        "pact_service",
        "trace",
        "plant_file",
        "cli",
        "dashboard",
    )
)
ANY = ("",)

# bridge: what may be imported; "" is everything
BRIDGE: dict[str, tuple[str, ...]] = {
    "__init__.py": (P + "notebook",),
    "__main__.py": (P + "cli",),
    "model.py": GROUND,
    "errors.py": GROUND,
    "ports.py": GROUND,
    "config.py": (*GROUND, P + "keys", P + "section", P + "toml_file", P + "toml_lines", P + "pact_config"),
    "section.py": (*GROUND, P + "toml_lines"),
    "toml_lines.py": GROUND,
    "toml_file.py": (*GROUND, P + "toml_lines"),
    "anchors.py": (*EVIDENCE, P + "keys", P + "time_stamp"),
    "anchor_stage.py": (*EVIDENCE, P + "gateway_key", P + "keys"),
    "anchor_rotation.py": (
        *EVIDENCE,
        *(P + name for name in ("anchor_stage", "clock", "config", "enrolment", "gateway_key", "keys", "store")),
    ),
    "stamp_stage.py": (*GROUND, P + "delivery.tsa", P + "time_stamp"),
    "time_stamp.py": (*GROUND, "cryptography", "rfc3161_client"),
    "gateway_key.py": (*EVIDENCE, P + "enrolment", P + "possession", "cryptography"),
    "keys.py": (*GROUND, P + "evidence.envelope", "cryptography"),
    "possession.py": (*GROUND, P + "evidence.envelope", "cbor2"),
    "enrolment.py": (
        *GROUND,
        *(P + name for name in ("keys", "possession", "evidence.envelope", "evidence.record")),
        "cryptography",
    ),
    "evidence/": (*EVIDENCE, "cbor2", "cryptography", "numpy"),
    "evidence/parameters.py": (*EVIDENCE, "rfc8785"),
    "evidence/compiled.py": ("numba",),
    "evidence/_kernels.py": ("numpy", P + "evidence.compiled"),
    "rules/": (*EVIDENCE, P + "rules", "numpy"),
    "rules/rule_set.py": (*GROUND, P + "rules", "rfc8785"),
    "rules/table_file.py": (*GROUND, P + "evidence.reader", "rfc8785"),
    "rules/_kernels.py": ("numba", "llvmlite", "numpy", P + "evidence.compiled", P + "rules._vectors"),
    "rules/_chain.py": (
        "numba",
        "llvmlite",
        "numpy",
        P + "rules._kernels",
        P + "rules._vectors",
        P + "rules._peripherals",
    ),
    "rules/_peripherals.py": ("numpy", P + "rules._kernels"),
    "rules/_merges.py": ("numpy", P + "rules._kernels", P + "rules._vectors"),
    "rules/_vectors.py": ("llvmlite", "numpy"),
    "rules/quality_plan.py": (*GROUND, P + "section"),
    "rules/channel_source.py": (*GROUND, P + "section"),
    "rules/computed_plan.py": (*GROUND, P + "section", P + "rules.channel_source"),
    "rules/plant.py": (*GROUND, P + "rules", P + "section", P + "toml_lines", "rfc8785"),
    "store/": (*GROUND, P + "store", "apsw"),
    "link/": (*GROUND, P + "link"),
    "link/serial_port.py": (*GROUND, P + "link", "serial"),
    "survey/": (*GROUND, P + "survey", P + "evidence.parameters", P + "evidence.reader", P + "evidence.decoding"),
    "survey/profile.py": (*GROUND, P + "evidence.parameters", P + "survey.site", "rfc8785"),
    "survey/site.py": (*GROUND, "rfc8785"),
    "survey/sheets.py": (*GROUND, P + "evidence.reader", "openpyxl"),
    "survey/adapter.py": (*GROUND, P + "survey", P + "clock", P + "link.serial_port"),
    "delivery/": (*GROUND, P + "delivery", "rfc8785"),
    "delivery/mqtt_connection.py": (*GROUND, P + "delivery", "paho"),
    "delivery/mqtt_sink.py": (*GROUND, P + "delivery", "plumeproof"),
    "delivery/sparkplug_payload.py": ("google.protobuf",),
    "delivery/sparkplug_sink.py": (*GROUND, P + "delivery", "plumeproof"),
    "delivery/exchange.py": (*GROUND, P + "delivery", "urllib3"),
    "delivery/private_file.py": (*GROUND, "cryptography"),
    "delivery/tls.py": (*GROUND, P + "delivery.private_file", "cryptography"),
    "delivery/openapi.py": (*GROUND, "yaml"),
    "delivery/openapi_body.py": (*GROUND, P + "delivery.openapi", "jsonschema", "referencing"),
    "delivery/assertion.py": (*GROUND, P + "delivery.private_file", "jwt"),
    "delivery/message_signature.py": (*GROUND, P + "delivery", "cryptography", "http_message_signatures"),
    "delivery/answers.py": (*GROUND, P + "delivery", "cryptography", "rfc8785"),
    "delivery/stage.py": (*GROUND, P + "delivery", "plumeproof"),
    "delivery/https_sink.py": (*GROUND, P + "delivery", "rfc8785", "plumeproof"),
    "hj212/": (P + "model", P + "errors", "acqwire", P + "hj212"),
    "delivery/hj212_line.py": (*GROUND, P + "hj212"),
    "delivery/hj212_memory.py": (*GROUND, P + "hj212"),
    "delivery/hj212_orders.py": (*GROUND, P + "delivery", P + "hj212"),
    "delivery/hj212_sink.py": (*GROUND, P + "delivery", P + "hj212"),
    "hj212_link.py": (
        *GROUND,
        *(P + name for name in ("config", "documents", "hj212", "hj212_equipment", "plant_file", "rules", "section")),
        "numpy",
    ),
    "hj212_equipment.py": (*GROUND, *(P + name for name in ("figure_ids", "hj212", "rules.channel_source", "section"))),
    "hj212_station.py": (
        *GROUND,
        *(P + name for name in ("figure_ids", "hj212", "hj212_equipment", "hj212_link", "rules")),
    ),
    "hj212_feed.py": (
        *GROUND,
        *(P + name for name in ("delivery.hj212_memory", "hj212", "hj212_link", "hj212_station")),
        "rfc8785",
    ),
    "hj212_parts.py": (
        *EVIDENCE,
        *(P + name for name in ("config", "clock_order_desk", "delivery", "gateway_key", "hj212", "store")),
        *(P + name for name in ("hj212_feed", "hj212_link", "hj212_station")),
    ),
    "hj212_document.py": (
        *GROUND,
        *(P + name for name in ("agreement", "agreement_desk", "config", "hj212", "hj212_link", "hj212_station")),
        P + "store.records_by_time",
    ),
    "hj212_listener.py": (*GROUND, P + "hj212"),
    "clock_order_desk.py": (
        *EVIDENCE,
        *(P + name for name in ("delivery.hj212_orders", "gateway_key", "hj212", "store.clock_orders")),
    ),
    "agreement/": (
        *GROUND,
        *(P + name for name in ("agreement", "documents", "figure_ids", "hj212", "hj212_link", "rules", "section")),
        P + "delivery.nesting",
    ),
    "agreement/senml_packs.py": (*GROUND, P + "agreement", P + "delivery.nesting", P + "delivery.senml"),
    "agreement_desk.py": (
        *GROUND,
        *(P + name for name in ("agreement", "documents.hours", "hj212", "hj212_link", "store")),
    ),
    "agreement_stage.py": (
        *GROUND,
        *(P + name for name in ("agreement", "config", "delivery.profile", "hj212_link", "rules", "store")),
    ),
    "pipeline.py": EVIDENCE,
    "averaging_stage.py": EVIDENCE,
    "archive.py": (*EVIDENCE, P + "envelope_sequence", P + "keys", P + "store.reader", "numpy"),
    "bulk.py": (
        *EVIDENCE,
        *(P + name for name in ("archive", "figure_tally", "keys", "plant_file", "rules", "store.figures")),
    ),
    "bulk_longer.py": (*GROUND, P + "bulk", P + "figure_tally", P + "rules", P + "store.figures"),
    "figure_tally.py": (*GROUND, P + "rules", P + "store.figures", "numpy"),
    "bundle/": GROUND,
    "bundle/anchors.py": (
        *EVIDENCE,
        *(P + name for name in ("anchors", "bundle.clock_orders", "gateway_key", "inspection", "keys", "time_stamp")),
        "rfc8785",
    ),
    "bundle/clock_orders.py": (*EVIDENCE, *(P + name for name in ("bundle.zip", "inspection", "keys")), "rfc8785"),
    "bundle/arrays.py": (*EVIDENCE, "cbor2", "numpy"),
    "bundle/columns.py": (*EVIDENCE, P + "bundle.arrays", "numpy"),
    "bundle/figure_columns.py": (*EVIDENCE, P + "bundle.arrays", P + "rules", "cbor2", "numpy"),
    "bundle/day.py": (*EVIDENCE, P + "bundle.arrays", P + "bundle.columns", P + "rules", "numpy"),
    "bundle/strips.py": (*EVIDENCE, P + "inspection"),
    "bundle/terms.py": (*EVIDENCE, P + "bundle.arrays", P + "bundle.figure_columns", P + "rules", "numpy"),
    "bundle/ahead.py": (*EVIDENCE, P + "envelope_sequence", P + "keys"),
    "bundle/records.py": (
        *EVIDENCE,
        *(P + name for name in ("bundle.ahead", "bundle.strips", "bundle.zip", "inspection")),
        *(P + name for name in ("envelope_sequence", "keys")),
    ),
    "bundle/writing.py": (
        *EVIDENCE,
        *(P + name for name in ("bundle.anchors", "bundle.clock_orders")),
        *(P + name for name in ("bundle.batches", "bundle.columns", "bundle.figure_columns", "bundle.zip", "keys")),
        P + "store.bundle_rows",
        "plumeproof",
        "rfc8785",
    ),
    "bundle/averages.py": (*EVIDENCE, *(P + f"bundle.{name}" for name in ("arrays", "columns", "day")), "numpy"),
    "bundle/batches.py": (*EVIDENCE, P + "bundle.columns"),
    "bundle/receipts.py": (*EVIDENCE, P + "bundle.batches", P + "delivery", "rfc8785"),
    "bundle/figures.py": (
        *EVIDENCE,
        *(P + f"bundle.{name}" for name in ("arrays", "figure_columns", "terms")),
        *(P + "rules", P + "store", "numpy"),
    ),
    "bundle/checking.py": (
        *EVIDENCE,
        *(P + name for name in ("bundle.zip", "bundle.writing", "bundle.averages", "bundle.figures", "bundle.anchors")),
        *(P + name for name in ("anchors", "bundle.ahead", "bundle.clock_orders", "time_stamp")),
        *(
            P + name
            for name in ("bundle.arrays", "bundle.columns", "bundle.figure_columns", "bundle.records", "bundle.strips")
        ),
        *(P + name for name in ("bundle.batches", "bundle.receipts", "delivery")),
        *(P + name for name in ("inspection", "keys", "enrolment")),
        "rfc8785",
    ),
    "bundle/verdict.py": (*GROUND, P + "bundle.checking", P + "inspection"),
    "figures_stage.py": (*EVIDENCE, P + "rules"),
    "fuel_file.py": (*GROUND, P + "rules", P + "section", P + "toml_file"),
    "plant_file.py": (*EVIDENCE, P + "rules", P + "toml_file", P + "toml_lines"),
    "envelope_sequence.py": (*EVIDENCE,),
    "inspection.py": (*EVIDENCE, P + "anchors", P + "envelope_sequence", P + "keys", P + "store.reader"),
    "ledger_strips.py": (*EVIDENCE, P + "store.records_by_time", "numpy"),
    "array_strips.py": (*EVIDENCE, "numpy"),
    "figure_desk.py": (*EVIDENCE, P + "rules", P + "ledger_strips"),
    "ledger_checks.py": (*EVIDENCE, P + "rules", P + "store.records_by_time"),
    "surveillance_desk.py": (*EVIDENCE, P + "rules", P + "figure_desk", P + "ledger_checks", P + "ledger_strips"),
    "parallel_file.py": (*GROUND, P + "instants"),
    "calibration_desk.py": (*GROUND, P + "parallel_file", P + "rules", "numpy"),
    "limit_files.py": (*GROUND, P + "rules", P + "figure_files"),
    "survey_files.py": (*GROUND, P + "rules", P + "figure_files", P + "surveillance_desk"),
    "chart_plot.py": (*GROUND, P + "rules", P + "figure_plot", P + "surveillance_desk", P + "whole_file", "matplotlib"),
    "instants.py": GROUND,
    "whole_file.py": GROUND,
    "notebook.py": (*FACES, P + "array_strips", P + "fuel_file", P + "rules", "numpy"),
    "figure_ids.py": GROUND,
    "trace/": (
        *EVIDENCE,
        *(P + name for name in ("rules", "keys", "enrolment", "store.records_by_time", "store.trace_rows")),
        *(P + name for name in ("figure_ids", "figure_files", "explanation", "trace", "store.figures")),
        "numpy",
    ),
    "trace/bundle_source.py": (
        *EVIDENCE,
        *(P + name for name in ("rules", "trace", "store.trace_rows", "store.figures", "figure_ids")),
        *(
            P + name
            for name in ("bundle.arrays", "bundle.columns", "bundle.figure_columns", "bundle.records", "bundle.strips")
        ),
        *(P + name for name in ("bundle.zip", "envelope_sequence")),
        "numpy",
    ),
    "documents/": (
        *GROUND,
        *(P + name for name in ("documents", "rules", "section", "toml_file", "toml_lines")),
        *(P + name for name in ("figure_desk", "figure_ids", "ledger_strips")),
        "rfc8785",
    ),
    "documents/schema.py": (P + "errors", P + "documents.site_time", "jsonschema", "rfc8785"),
    "documents/data_set_file.py": (P + "errors", P + "delivery.nesting"),
    "cbam/": (
        *GROUND,
        *(P + name for name in ("cbam", "documents", "rules", "section", "toml_file")),
        *(P + name for name in ("figure_desk", "figure_ids", "ledger_strips", "instants")),
        "rfc8785",
        "plumeproof",
    ),
    "cbam/xml_file.py": (*GROUND, "lxml"),
    "pact/": (
        *GROUND,
        *(P + name for name in ("pact", "documents", "rules", "section", "instants")),
        *(P + name for name in ("figure_desk", "figure_ids", "ledger_strips")),
        "rfc8785",
    ),
    "pact/events.py": (*GROUND, P + "pact", P + "delivery.nesting", P + "section"),
    "pact/partner_sink.py": (*GROUND, P + "pact", P + "delivery", "plumeproof"),
    "pact/endpoints.py": (*GROUND, P + "pact", "starlette"),
    "pact/host.py": (*GROUND, P + "pact", P + "delivery.private_file", "starlette", "uvicorn", "h11"),
    "pact_config.py": (*GROUND, P + "config", P + "section"),
    "pact_service.py": (
        *EVIDENCE,
        *(P + name for name in ("clock", "config", "pact_config", "pact", "delivery", "documents", "store")),
        *(P + name for name in ("figure_desk", "ledger_strips", "plant_file")),
    ),
    "documents/sheet_page.py": (P + "documents", "jinja2"),
    "documents/sheet_pdf.py": (P + "documents", "reportlab"),
    "figure_files.py": (*GROUND, P + "figure_ids", P + "whole_file", "pyarrow"),
    "figure_plot.py": (*GROUND, P + "rules", P + "figure_files", P + "whole_file", "matplotlib", "numpy"),
    "explanation.py": (*GROUND, P + "rules", P + "figure_files"),
    "rule_book.py": (*GROUND, P + "rules"),
    "compiler_pages.py": (),
    "overview.py": (*EVIDENCE, P + "store.reader"),
    "service.py": ANY,
    "clock.py": GROUND,
    "module_stage.py": (*EVIDENCE, P + "clock", P + "config", P + "keys", P + "link", P + "pipeline"),
    "delivery_parts.py": (*EVIDENCE, P + "clock", P + "config", P + "delivery"),
    "delivery/anchor_feed.py": (*GROUND, P + "delivery", "rfc8785"),
    "profile_desk.py": (*GROUND, P + "delivery"),
    "observe.py": GROUND,
    "cli/": (*FACES, P + "keys", P + "anchors", P + "time_stamp", P + "observe", P + "ports", "tqdm", "plumeproof"),
    "cli/recompute.py": (*FACES, P + "archive", "tqdm", "distributed"),
    "dashboard/": (*FACES, P + "ports", "starlette", "uvicorn", "jinja2"),
}
HOMES = {
    "apsw": ("store/", "service.py"),
    "serial": ("link/serial_port.py",),
    "paho": ("delivery/mqtt_connection.py",),
    "google": ("delivery/sparkplug_payload.py",),
    "urllib3": ("delivery/exchange.py",),
    "jwt": ("delivery/assertion.py",),
    "yaml": ("delivery/openapi.py",),
    "jsonschema": ("delivery/openapi_body.py", "documents/schema.py"),
    "http_message_signatures": ("delivery/message_signature.py",),
    "rfc3161_client": ("time_stamp.py",),
    "reportlab": ("documents/sheet_pdf.py",),
    "lxml": ("cbam/xml_file.py",),
    "numba": ("evidence/compiled.py", "rules/_kernels.py", "rules/_chain.py"),
    "llvmlite": ("rules/_kernels.py", "rules/_chain.py", "rules/_vectors.py"),
    "openpyxl": ("survey/sheets.py",),
    "pyarrow": ("figure_files.py",),
    "matplotlib": ("figure_plot.py", "chart_plot.py"),
}
NOT_IN_EVIDENCE = {"socket", "threading", "time", "logging", "random", "os", "pathlib", "subprocess", "asyncio", "io"}
ACQ = {"struct", "binascii", "hashlib", "json", "gc", "collections"}


def imports_of(path: Path) -> list[str]:
    """Full names of all modules imported anywhere in a file; relative imports are refused by the style."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            whole = node.module in ("plumeproof", "acq", "plumeproof.evidence", "plumeproof.store")
            found += [f"{node.module}.{alias.name}" if whole else str(node.module) for alias in node.names]
    return found


def is_within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(entry == "" or name == entry or name.startswith(entry + ".") for entry in allowed)


def files_below(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


BRIDGE_FILES = files_below("bridge/plumeproof")


@pytest.mark.parametrize("path", BRIDGE_FILES, ids=lambda path: path.relative_to(ROOT / "bridge").as_posix())
def test_bridge(path):
    relative = path.relative_to(ROOT / "bridge" / "plumeproof").as_posix()
    rules = [rule for rule in BRIDGE if relative == rule or (rule.endswith("/") and relative.startswith(rule))]
    assert rules, f"{relative}: no rule for this place; give it one in tests/test_architecture.py"
    allowed = BRIDGE[max(rules, key=len)]
    for name in imports_of(path):
        if name.split(".")[0] in sys.stdlib_module_names:
            if relative.startswith("evidence/"):
                assert name.split(".")[0] not in NOT_IN_EVIDENCE, f"{relative} imports {name}"
            continue
        assert is_within(name, allowed), f"{relative} imports {name}"


@pytest.mark.parametrize("library", sorted(HOMES))
def test_one_home_for_each_library(library):
    for path in BRIDGE_FILES:
        relative = path.relative_to(ROOT / "bridge" / "plumeproof").as_posix()
        if any(name.split(".")[0] == library for name in imports_of(path)):
            assert relative.startswith(HOMES[library]), f"{relative} imports {library}"


def test_print_only_in_cli():
    for path in BRIDGE_FILES:
        if "cli" in path.parts or path.name == "__main__.py":
            continue
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"], path


def test_acqwire_has_no_behaviour():
    for path in files_below("firmware/acqwire"):
        for node in ast.parse(path.read_text()).body:
            assert isinstance(node, (ast.Assign, ast.Expr)), f"{path.name} line {node.lineno}: only names and numbers"


@pytest.mark.parametrize("path", files_below("firmware/acq"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_acq(path):
    for name in imports_of(path):
        top = name.split(".")[0]
        if top == "micropython":
            assert path.name == "dialect.py", f"{path.name} imports micropython"
        else:
            assert top in ACQ | {"acq", "acqwire"}, f"{path.name} imports {name}"


def test_acq_has_no_cycles():
    graph = {}
    for path in files_below("firmware/acq"):
        module = ".".join(path.relative_to(ROOT / "firmware").with_suffix("").parts).removesuffix(".__init__")
        graph[module] = {name for name in imports_of(path) if name.startswith("acq.")}
    done: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " > ".join((*way, module))
        if module in done:
            return
        for name in graph.get(module, ()):
            walk(name, (*way, module))
        done.add(module)

    for module in graph:
        walk(module, ())


def test_machine_only_in_boards():
    for path in files_below("firmware"):
        if "boards" not in path.parts:
            assert "machine" not in {name.split(".")[0] for name in imports_of(path)}, path


def test_no_firmware_code_in_the_bridge():
    for path in BRIDGE_FILES:
        assert not [name for name in imports_of(path) if name.split(".")[0] in ("acq", "boards", "tools")], path
