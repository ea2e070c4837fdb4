"""`module:object`: what is found, and the sentences for what is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from telex import Server
from telex.cli.target import TargetError, load

MODULE = """
from telex import Server

io = Server()
title = "not an application"

class Shop:
    io = io

def create():
    return io

async def create_later():
    return io

def create_with(name):
    return io

def wsgi(environ, start_response):
    return []

def broken():
    raise RuntimeError("no database")
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the module `telex_shop` and the package `telex_mall`, entered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in [name for name in sys.modules if name.startswith(("telex_shop", "telex_mall"))]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "telex_shop.py").write_text(MODULE)
    (tmp_path / "telex_mall").mkdir()
    (tmp_path / "telex_mall" / "__init__.py").write_text("")
    (tmp_path / "telex_mall" / "entrance.py").write_text(MODULE)
    return tmp_path


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "target",
    ["telex_shop:io", "telex_shop:create()", "telex_shop:Shop.io", "telex_mall.entrance:io"],
)
def test_found(target: str) -> None:
    assert isinstance(load(target), Server)


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("telex_shp:io", "There is no module 'telex_shp'"),
        ("telex_shp:io", "Did you mean 'telex_shop'"),
        ("telex_mall.entrence:io", "Did you mean 'entrance'?"),
        ("telex_mall.entrance.door:io", "There is no module 'telex_mall.entrance.door'"),
        ("telex_shop:oi", "There is no 'oi' in 'telex_shop'. Did you mean 'io'?"),
        ("telex_shop:server", "no 'server' in 'telex_shop'. Did you mean 'io' or 'Server'?"),
        ("telex_shop:creat()", "Did you mean 'io' or 'create'?"),
        ("telex_shop:Shop.oi", "There is no 'oi' in 'Shop' of 'telex_shop'. Did you mean 'io'?"),
        ("telex_shop", "Which object of 'telex_shop'? Write telex_shop:io."),
        ("telex_mall", "Name the object too, such as telex_mall:io."),
        ("telex_shop.py:io", "is a file: name the module, telex_shop:io."),
        ("./telex_shop.py", "is a file: name the module, telex_shop:io."),
        ("telex shop:io", "write module:object, such as app:io"),
        (":io", "write module:object, such as app:io"),
        ("telex_shop:title", "'telex_shop:title' is a str, not a Server"),
        ("telex_shop:title()", "cannot be called: leave out the parentheses"),
        ("telex_shop:create", "write telex_shop:create()."),
        ("telex_shop:create_with()", "cannot be called without arguments: missing"),
        ("telex_shop:create_later()", "is async"),
        ("telex_shop:wsgi", "is a WSGI application, and telex serves ASGI. Put it behind a Server"),
        ("telex_shop:broken()", "failed: RuntimeError: no database"),
    ],
)
def test_refused(target: str, sentence: str) -> None:
    with pytest.raises(TargetError) as refusal:
        load(target)
    assert sentence in str(refusal.value)


def test_a_module_that_fails_shows_its_own_lines(shop: Path) -> None:
    (shop / "telex_shop.py").write_text("import os\nos.nothing_like_this\n")
    with pytest.raises(TargetError) as refusal:
        load("telex_shop:io")
    assert "cannot be imported: AttributeError" in str(refusal.value)
    assert "os.nothing_like_this" in refusal.value.report
    assert "importlib" not in refusal.value.report


def test_a_module_that_needs_another_names_that(shop: Path) -> None:
    (shop / "telex_shop.py").write_text("import telex_shop_stock\n")
    with pytest.raises(TargetError, match="it needs 'telex_shop_stock', which is not installed"):
        load("telex_shop:io")
