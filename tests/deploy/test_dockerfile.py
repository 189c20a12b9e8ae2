"""deploy/Dockerfile and .dockerignore: what can be known without building."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.deploy.files import ROOT, dockerfile, environment, ignored, lineage, listed, locked

STAGES, ARGUMENTS = dockerfile()
IMAGES = ("light", "bert")
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


def test_every_stage_begins_at_one_python_of_an_exact_version() -> None:
    assert re.fullmatch(r"3\.\d+\.\d+-slim-\w+", ARGUMENTS["PYTHON"])
    for stage in STAGES.values():
        assert stage.base in STAGES or stage.base == f"python:{ARGUMENTS['PYTHON']}"
    assert list(STAGES)[-1] == "bert", "the last stage is what a build without --target makes"


def test_the_version_of_python_is_one_that_the_tests_run_on() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        least = tomllib.load(file)["project"]["requires-python"]
    assert ARGUMENTS["PYTHON"].startswith(least.removeprefix(">=") + ".")


@pytest.mark.parametrize("image", IMAGES)
def test_images_run_as_nobody_in_particular(image: str) -> None:
    users = [user for stage in lineage(STAGES, image) for user in stage.all("USER")]
    assert users[-1] == "10001:10001"
    steps = [step for stage in lineage(STAGES, image) for step in stage.steps]
    assert ("ENTRYPOINT", '["divrec"]') in steps
    assert sum(name == "HEALTHCHECK" for name, _ in steps) == 1


def test_labels_carry_the_version_of_the_package() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert f'org.opencontainers.image.version="{version}"' in STAGES["light"].all("LABEL")[0]


def test_what_is_copied_is_there_and_reaches_the_build() -> None:
    sources = [
        source
        for stage in STAGES.values()
        for line in stage.all("COPY")
        if "--from=" not in line
        for source in shlex.split(line)[:-1]
    ]
    assert len(sources) >= 6
    for source in sources:
        assert (ROOT / source).exists(), source
        files = [path for path in TRACKED if path == source or path.startswith(f"{source}/")] or [source]
        assert not all(map(ignored, files)), f"{source} is kept out by .dockerignore"


def test_the_build_gets_nothing_else() -> None:
    assert ignored("deploy/secrets/redis-password")
    assert ignored("divrec/data/demo/ratings.csv.gz"), "its terms are not for commercial use"
    assert ignored(".git/config")
    assert ignored(".venv/bin/python")
    assert ignored("divrec/__pycache__/engine.cpython-311.pyc")
    sent = {path.split("/")[0] for path in TRACKED if not ignored(path)}
    assert sent <= {"pyproject.toml", "README.md", "requirements.lock", "divrec", "streams", "deploy"}


def test_the_lists_of_packages_fit_the_lock_file() -> None:
    cuda = {name for name in locked() if re.match(r"(nvidia|cuda)-|torch$|triton$", name)}
    assert listed("packages-of-cuda.txt") == cuda
    assert listed("packages-of-bert.txt") <= set(locked()) - cuda


def test_the_light_image_runs_without_the_packages_it_lacks() -> None:
    names = sorted(
        {name.replace("-", "_") for name in listed("packages-of-cuda.txt") | listed("packages-of-bert.txt")}
        | {"nvidia"}
    )
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import streams.cli, streams.health.doctor, streams.client.dump, streams.ingest, streams.recommend, streams.client.replay
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_python_that_the_build_runs_is_right(tmp_path: Path) -> None:
    """The kernels are compiled; the text model is only found, for loading it is what the encode worker does."""
    steps = [step for stage in STAGES.values() for step in stage.all("RUN")]
    kernels, model = (code for step in steps for code in re.findall(r'python -c "([^"]+)"', step))
    for code in (kernels, model.replace("load_encoder(", "print(")):
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=tmp_path)


@pytest.mark.parametrize("torch", ["cuda", "cpu"])
def test_the_commands_of_uv_are_ones_that_it_knows(torch: str, tmp_path: Path) -> None:
    uv = ROOT / ".uv/bin/uv"
    if not uv.is_file():
        pytest.skip("there is no .uv/bin/uv: make install")
    with (ROOT / "Makefile").open() as file:
        pinned = re.search(r"uv==([\d.]+)", file.read())
    assert pinned is not None
    assert f"uv=={pinned[1]}" in STAGES["tools"].all("RUN")[0]

    script = STAGES["bert"].all("RUN")[0].rpartition("--mount=type=cache,target=/root/.cache/uv")[2]
    told = tmp_path / "told"
    fake = tmp_path / "uv"
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{told}\n')
    fake.chmod(0o755)
    script = (
        script.replace("/opt/uv/bin/uv", str(fake))
        .replace("cd /src", f"cd {ROOT}/deploy")
        .replace("requirements.lock", "../requirements.lock")
    )
    subprocess.run(["sh", "-c", script], check=True, env=os.environ | {"TORCH": torch})
    assert subprocess.run(["sh", "-c", script], env=os.environ | {"TORCH": "tpu"}, capture_output=True).returncode == 2
    light = next(step for step in STAGES["build"].all("RUN") if "--require-hashes" in step)
    commands = [*told.read_text().splitlines(), light.partition("/opt/uv/bin/uv ")[2]]
    assert len(commands) == {"cuda": 2, "cpu": 3}[torch]
    if torch == "cpu":
        assert f"torch=={locked()['torch']}" in commands[1]
    for command in commands:
        tried = command.replace("--python /opt/divrec", f"--python {sys.executable}").replace("../", "")
        tried = tried.replace("packages-of", "deploy/packages-of")
        run = subprocess.run(
            [uv, *shlex.split(tried), "--dry-run", "--offline", "--quiet"], cwd=ROOT, capture_output=True, text=True
        )
        assert "error: unexpected" not in run.stderr and "error: invalid" not in run.stderr, run.stderr
        assert "hash" not in run.stderr, run.stderr


def test_the_environment_of_the_images_is_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from divrec.config import load_config

    monkeypatch.chdir(tmp_path)
    values = environment(STAGES, "light")
    for name, value in values.items():
        if name.startswith("DIVREC_"):
            monkeypatch.setenv(name, value)
    config = load_config()
    exposed = STAGES["light"].all("EXPOSE")
    assert exposed == [str(config.worker.http_port)]
    assert f":{config.worker.http_port}/ready" in STAGES["light"].all("HEALTHCHECK")[0]
    made = " ".join(STAGES["light"].all("COPY"))
    assert str(config.worker.state_dir) in made
    assert str(config.encoder.cache_dir) in made
    assert values["NUMBA_CACHE_DIR"].startswith(f"{config.encoder.cache_dir}/")
