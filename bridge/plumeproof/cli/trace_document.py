"""`plumeproof trace --document FILE`: every id that a document names walked down to register bytes, a line each."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from tqdm import tqdm

from plumeproof.errors import ConfigError, RuleError

if TYPE_CHECKING:
    from plumeproof.keys import KeyFile
    from plumeproof.trace.source import Source

FORMAT = "plumeproof.document_trace/1"


def trace_document(args: argparse.Namespace, source: Source, keys: KeyFile, keys_from: str) -> int:
    """Exit status: 0 every id leads down and every check holds, 1 one does not. Raises ConfigError, StoreError."""
    from plumeproof.trace.document import ids_of
    from plumeproof.trace.walk import Choice, trace_id

    choice = Choice(is_whole=args.whole, allow_test_keys=args.allow_test_keys)
    found = ids_of(args.document)
    rows: list[dict[str, object]] = []
    for named in tqdm(found, unit=" ids", disable=args.json or not sys.stderr.isatty(), leave=False):
        try:
            trace = trace_id(source, keys, keys_from, named.id, choice)
            first = trace.stages[0] if trace.stages else None
            value = next((str(cell) for name, cell in first.facts if name == "value"), "") if first else ""
            bad = [check.sentence for stage in trace.stages for check in stage.checks if not check.is_good]
            is_fine, why = trace.is_fine, bad[0] if bad else "" if trace.is_fine else "nothing of it could be checked"
        except (ConfigError, RuleError) as error:
            is_fine, value, why = False, "", str(error)
        rows.append({"id": named.id, "fine": is_fine, "value": value, "why": why, "count": named.count,
                     "lines": named.lines})  # fmt: skip
    good = sum(bool(row["fine"]) for row in rows)
    if args.json:
        told = {"format": FORMAT, "document": str(args.document), "from": source.where, "keys": keys_from,
                "fine": good == len(rows), "ids": rows}  # fmt: skip
        print(json.dumps(told, ensure_ascii=False))
    else:
        for row in rows:
            end = row["value"] if row["fine"] else row["why"]
            print(f"{'ok    ' if row['fine'] else 'NOT OK'} {row['id']}  {end}".rstrip())
        print(f"{'fine' if good == len(rows) else 'NOT FINE'}: {good} of {len(rows)} ids of {args.document} lead down "
              f"to signed register bytes, from {source.where}, keys: {keys_from}")  # fmt: skip
    return 0 if good == len(rows) else 1
