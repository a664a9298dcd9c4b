"""`module rotate`: asked for over a console or in a directory, refused where no key can change so."""

from __future__ import annotations

import json

import pytest

from plumeproof.keys import load_keys
from tests.tools.test_module_tools import module, provision
from tools.module.emulated import Directory
from tools.module.refusal import Refusal
from tools.module.rotate import ask_rotation


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rotate")
    assert provision(folder).returncode == 0
    return folder


def test_it_is_asked_for_once(provisioned):
    before = files_of(provisioned / "mod")
    done = module("rotate", provisioned / "mod", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["kid"] == load_keys(provisioned / "keys.json").entries[0].kid.hex() and told["is_new"]
    assert files_of(provisioned / "mod") == before | {"rotate": b""}
    done = module("rotate", provisioned / "mod")
    assert done.returncode == 0 and "was asked for already" in done.stdout
    assert "keys rotate --device" in done.stdout and "next start" in done.stdout
    (provisioned / "mod" / "rotate").unlink()


def test_where_no_key_can_change_so(provisioned, tmp_path):
    (tmp_path / "new").mkdir()
    done = module("rotate", tmp_path / "new")
    assert (done.returncode, done.stdout) == (2, "") and "provision the module first" in done.stderr
    done = module("rotate", tmp_path / "absent")
    assert done.returncode == 2 and "--board" in done.stderr
    folder = provisioned / "mod"
    (folder / "element.json").write_text('{"address":96,"slot":0}')
    done = module("rotate", folder)
    (folder / "element.json").unlink()
    assert done.returncode == 2 and "secure element" in done.stderr and done.stderr.count("\n") == 1
    assert not (folder / "rotate").exists()


def test_a_program_that_is_too_old(provisioned):
    class Older(Directory):
        def run(self, code):
            return super().run(code.replace("key_change", "no_such_file"))

    with pytest.raises(Refusal, match="too old"):
        ask_rotation(Older(provisioned / "mod"), "")
    assert not (provisioned / "mod" / "rotate").exists()
