"""The command line, run in this process."""

import json

import pytest

from cli.main import main


class Cli:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def json(self, *arguments: object) -> dict:
        """What a command with --json prints: pure JSON, and nothing else anywhere."""
        return json.loads(self.text(*arguments, "--json"))

    def trace(self, *arguments: object) -> dict:
        return self.json("trace", *arguments)

    def text(self, *arguments: object) -> str:
        code = main([*map(str, arguments)])
        out, err = self.capsys.readouterr()
        assert (code, err) == (0, "")
        return out

    def fails(self, *arguments: object, bug: bool = False) -> str:
        """The one line of a command that fails; it points at --debug only where the fault is ours."""
        code = main([*map(str, arguments)])
        out, err = self.capsys.readouterr()
        assert (code, out) == (1, "")
        assert err.startswith("tracer: ") and err.endswith("\n") and err.count("\n") == 1
        assert ("--debug" in err) is bug
        return err

    def usage(self, *arguments: object) -> str:
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments)])
        out, err = self.capsys.readouterr()
        assert (caught.value.code, out) == (2, "")
        assert err.startswith("usage: ") and "Traceback" not in err
        return err
