"""Versions and locks, which stand in several files, agree."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import pytest

from record_processor import jars
from tests.docs.blocks import ROOT

OURS: Final = "dynamodb-streams-record-processor"


@pytest.fixture(scope="module")
def pom() -> dict[str, str]:
    """Give pom.xml's properties."""
    properties = ET.parse(ROOT / "pom.xml").find("{*}properties")
    assert properties is not None
    return {element.tag.rpartition("}")[2]: element.text or "" for element in properties}


def test_the_changelog_begins_with_our_version() -> None:
    """Its newest release, once there is one, is the version that pyproject.toml names."""
    released = re.findall(
        r"^## \[?v?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    )
    assert released[:1] in ([], [metadata.version(OURS)])


def test_java_is_compiled_against_the_kcl_that_python_brings(pom: dict[str, str]) -> None:
    """amazon_kclpy's version is that of its KCL; pom.xml and jars.lock name the same."""
    assert f"amazon-kclpy=={pom['kcl.version']}" in (metadata.requires(OURS) or [])
    assert f"amazon-kinesis-client-{pom['kcl.version']}.jar" in jars.read()
    assert f"dynamodb-streams-kinesis-adapter-{pom['adapter.version']}.jar" in jars.read()


@pytest.mark.parametrize("name", ["build.lock", "requirements.lock"])
def test_locks_pin_everything_by_hash_and_name_no_place(name: str) -> None:
    """Each requirement has a version and a hash; there is no option, URL or path."""
    text = (ROOT / "scripts" / name).read_text("ascii")
    requirements = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    for line in requirements:
        assert re.match(r"[\w.-]+==[\w.]+( ; [^@]+?)?( +--hash=sha256:[0-9a-f]{64})+$", line), line


def test_the_license_is_whole() -> None:
    """LICENSE is the full text that pyproject.toml names."""
    text = Path(ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
