"""Writes hub-cache.json: what Python's huggingface_hub makes of the small repository of the tests in its cache.

Run, with huggingface_hub installed and the project built:

    node dist/test/oracles/serve-hub.js            # prints an address; leave it running
    HF_ENDPOINT=<address> python test/oracles/make_hub_fixture.py
    HF_ENDPOINT=<address> python test/oracles/make_hub_fixture.py --read <cache folder that Hone filled>

The second form checks that huggingface_hub finds, without a network, what `hone pull` has fetched.
"""

import json
import os
import pathlib
import sys
import tempfile

if sys.argv[1:2] == ["--read"]:
    os.environ["HF_HUB_OFFLINE"] = "1"

import huggingface_hub

REPOSITORY = "somebody/small-model"
PATTERNS = ["*.json", "onnx/model.onnx", "onnx/model.onnx_data"]


def entries(root: pathlib.Path) -> dict:
    """Maps each path below a folder to its text, to the target of a link, or to its number of bytes."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = {"link": os.readlink(path)}
        elif path.is_file():
            size = path.stat().st_size
            found[name] = {"text": path.read_text()} if size < 100 else {"bytes": size}
    return found


def read(cache: str) -> None:
    info = huggingface_hub.scan_cache_dir(cache)
    assert not info.warnings, info.warnings
    [repository] = info.repos
    assert repository.repo_id == REPOSITORY and list(repository.refs) == ["main"], repository
    folder = huggingface_hub.snapshot_download(REPOSITORY, cache_dir=cache, allow_patterns=PATTERNS)
    for name in ("config.json", "onnx/model.onnx", "onnx/model.onnx_data"):
        path = huggingface_hub.try_to_load_from_cache(REPOSITORY, name, cache_dir=cache)
        assert isinstance(path, str) and path == os.path.join(folder, name), (name, path)
    print(f"huggingface_hub {huggingface_hub.__version__} finds {repository.nb_files} files in {folder}")


def make() -> None:
    with tempfile.TemporaryDirectory() as cache:
        huggingface_hub.snapshot_download(REPOSITORY, cache_dir=cache, allow_patterns=PATTERNS)
        root = pathlib.Path(cache) / ("models--" + REPOSITORY.replace("/", "--"))
        fixture = {"huggingface_hub": huggingface_hub.__version__, "entries": entries(root)}
        target = pathlib.Path(__file__).parent / "hub-cache.json"
        target.write_text(json.dumps(fixture, indent=1) + "\n")


read(sys.argv[2]) if sys.argv[1:2] == ["--read"] else make()
