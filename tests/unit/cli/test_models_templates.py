"""`medicalgpt models templates`: every template with its stops and its source."""

from tests.golden_templates import GOLDEN
from typer.testing import CliRunner

from medicalgpt.cli.models import app
from medicalgpt.rendering.template_header import named_info


def test_every_template_is_listed_with_what_its_head_says() -> None:
    done = CliRunner().invoke(app, ["templates"])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    for name in GOLDEN:
        (at,) = (i for i, line in enumerate(lines) if line.split()[:1] == [name])
        info = named_info(name)
        assert " ".join(info.stop) in lines[at]
        assert info.system in lines[at]
        assert info.source in lines[at]
        assert info.url in lines[at + 1]
