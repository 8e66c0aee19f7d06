from pathlib import Path

import pytest

from service import Settings, SettingsError


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [
        "CACHE",
        "CACHE_GB",
        "DATABASE",
        "OFFLOAD",
        "DASHBOARDS",
        "MODEL",
        "FEATURES",
        "DEVICE",
        "DTYPE",
        "MAX_TOKENS",
        "QUEUE",
        "IMPORT_MB",
        "IMPORT_NODES",
        "IMPORT_EDGES",
        "IMPORT_DEPTH",
        "METRICS_PORT",
        "LOG_PROMPTS",
        "QUOTA_MB",
        "MODELS_GB",
        "NEURONPEDIA",
    ]:
        monkeypatch.delenv(f"HYPOGRAPH_{name}", raising=False)
    monkeypatch.delenv("NEURONPEDIA_API_KEY", raising=False)
    monkeypatch.setenv("HYPOGRAPH_HOME", str(tmp_path))


def test_defaults(tmp_path: Path) -> None:
    assert Settings.from_env() == Settings(
        home=tmp_path,
        cache=tmp_path / "cache",
        cache_gb=5.0,
        database=f"sqlite:///{tmp_path}/lab.sqlite",
        model="gemma-3-270m",
        features="neurons",
        device="auto",
        dtype="auto",
        offload=False,
        build_dashboards=True,
        max_tokens=512,
        queue=32,
        queue_person=8,
        stop_seconds=10,
        import_mb=50,
        import_nodes=200_000,
        import_edges=2_000_000,
        import_depth=50,
        metrics_port=None,
        log_prompts=False,
        quota_mb=None,
        models_gb=None,
        ray_address="",
        neuronpedia="https://neuronpedia.org",
        neuronpedia_key="",
    )


def test_the_default_home_is_not_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYPOGRAPH_HOME")
    home = Settings.from_env().home
    assert home.is_absolute()
    assert Path(__file__).parents[2] not in home.parents


def test_every_variable_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {
        "CACHE": str(tmp_path / "elsewhere"),
        "CACHE_GB": "0.5",
        "DATABASE_URL": "postgresql://lab@db/lab",
        "MODEL": "smollm2-135m-instruct",
        "FEATURES": "/some/folder",
        "DEVICE": "cuda:1",
        "DTYPE": "bfloat16",
        "OFFLOAD": "1",
        "DASHBOARDS": "0",
        "MAX_TOKENS": "64",
        "QUEUE": "3",
        "QUEUE_PERSON": "2",
        "STOP_SECONDS": "50",
        "IMPORT_MB": "7",
        "IMPORT_NODES": "100",
        "IMPORT_EDGES": "200",
        "IMPORT_DEPTH": "9",
        "METRICS_PORT": "9464",
        "LOG_PROMPTS": "1",
        "QUOTA_MB": "500",
        "MODELS_GB": "2.5",
        "RAY_ADDRESS": "10.0.0.1:6379",
        "NEURONPEDIA": "http://127.0.0.1:3000/",
    }
    monkeypatch.setenv("NEURONPEDIA_API_KEY", " a-key ")
    for name, value in values.items():
        monkeypatch.setenv(f"HYPOGRAPH_{name}", value)
    assert Settings.from_env() == Settings(
        tmp_path,
        tmp_path / "elsewhere",
        0.5,
        "postgresql://lab@db/lab",
        "smollm2-135m-instruct",
        "/some/folder",
        "cuda:1",
        "bfloat16",
        True,
        False,
        64,
        3,
        2,
        50,
        7,
        100,
        200,
        9,
        9464,
        True,
        500,
        2.5,
        "10.0.0.1:6379",
        "http://127.0.0.1:3000",
        "a-key",
    )
    limits = Settings.from_env().import_limits
    assert (limits.json_bytes, limits.pt_bytes) == (7_000_000, 7_000_000)
    assert (limits.nodes, limits.edges, limits.depth) == (100, 200, 9)


def test_the_key_is_in_no_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURONPEDIA_API_KEY", "s3cret")
    assert "s3cret" not in repr(Settings.from_env())


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CACHE_GB", "MODEL", "DEVICE", "DTYPE", "QUEUE"):
        monkeypatch.setenv(f"HYPOGRAPH_{name}", "")
    assert Settings.from_env().queue == 32
    assert Settings.from_env().device == "auto"


@pytest.mark.parametrize("folder", ["~/x", "x"])
def test_the_cache_folder_is_absolute(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.setenv("HYPOGRAPH_CACHE", folder)
    cache = Settings.from_env().cache
    assert cache.is_absolute()
    assert "~" not in str(cache)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("CACHE_GB", "lots", "0.01"),
        ("CACHE_GB", "0", "0.01"),
        ("CACHE_GB", "-1", "0.01"),
        ("CACHE_GB", "inf", "0.01"),
        ("CACHE_GB", "nan", "0.01"),
        ("DTYPE", "int4", "bfloat16"),
        ("DEVICE", "gpu", "cuda"),
        ("MAX_TOKENS", "0", "at least 1"),
        ("MAX_TOKENS", "1.5", "whole number"),
        ("QUEUE", "many", "whole number"),
        ("IMPORT_MB", "0", "at least 1"),
        ("IMPORT_DEPTH", "-3", "at least 1"),
        ("METRICS_PORT", "0", "a port"),
        ("METRICS_PORT", "65536", "a port"),
        ("METRICS_PORT", "9464/tcp", "a port"),
        ("LOG_PROMPTS", "yes", "0, 1"),
        ("QUOTA_MB", "0", "at least 1"),
        ("MODELS_GB", "0", "0.01"),
        ("NEURONPEDIA", "javascript:alert(1)", "address"),
        ("NEURONPEDIA", "neuronpedia.org", "address"),
    ],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str) -> None:
    monkeypatch.setenv(f"HYPOGRAPH_{name}", value)
    with pytest.raises(SettingsError) as caught:
        Settings.from_env()
    message = str(caught.value)
    assert message.startswith(f"HYPOGRAPH_{name} is '{value}'")
    assert allowed in message
    assert "\n" not in message
