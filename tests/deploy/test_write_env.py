"""`make env`: random secrets for compose."""

import stat
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SHORTEST_SECRET = 40


def write_env(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TOP / "deploy" / "write-env", file], capture_output=True, text=True, check=False)


def values(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text(encoding="utf-8").splitlines())


def test_it_fills_every_variable_of_the_example_with_a_secret_of_its_own(tmp_path: Path) -> None:
    assert write_env(tmp_path / "one").returncode == 0
    assert write_env(tmp_path / "two").returncode == 0

    one, two = values(tmp_path / "one"), values(tmp_path / "two")
    example = values_of_example()
    assert list(one) == list(two) == example
    assert len({*one.values(), *two.values()}) == 2 * len(example)
    assert min(map(len, one.values())) >= SHORTEST_SECRET


def test_a_secret_can_be_part_of_an_address(tmp_path: Path) -> None:
    write_env(tmp_path / "env")

    assert all(secret.replace("-", "").replace("_", "").isalnum() for secret in values(tmp_path / "env").values())


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    write_env(tmp_path / "env")

    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600


def test_it_refuses_to_overwrite_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("kept", encoding="utf-8")

    refused = write_env(tmp_path / "env")

    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert (tmp_path / "env").read_text(encoding="utf-8") == "kept"


def values_of_example() -> list[str]:
    lines = (TOP / ".env.example").read_text(encoding="utf-8").splitlines()
    return [line.removesuffix("=") for line in lines if line and not line.startswith("#")]
