"""An Airflow of its own for the tests, and the hosts that they talk to."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Before anything imports Airflow.
HOME = Path(tempfile.mkdtemp(prefix="cofferdam-airflow-"))
os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=str(HOME / "dags"),
    AIRFLOW__CORE__EXECUTOR="LocalExecutor",
    AIRFLOW__CORE__FERNET_KEY="",
    AIRFLOW__API__BASE_URL="http://127.0.0.1:8080/",
    AIRFLOW__API_AUTH__JWT_SECRET="the-tests-need-one-that-is-long-enough-for-hs512-and-stays-the-same",
)
for name in [name for name in os.environ if name.startswith("AIRFLOW__COFFERDAM__")]:
    del os.environ[name]

import pytest  # noqa: E402

from tests.fakes import documents  # noqa: E402
from tests.fakes.binary import FakeBinary  # noqa: E402
from tests.fakes.service import FakeService  # noqa: E402


@pytest.fixture(scope="session")
def database():
    """Airflow's tables."""
    (HOME / "dags").mkdir(exist_ok=True)
    airflow = Path(sys.executable).parent / "airflow"
    done = subprocess.run([airflow, "db", "migrate"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return HOME


@pytest.fixture
def service(tmp_path):
    """A service on a socket."""
    with FakeService(tmp_path / "s.sock") as fake:
        yield fake


@pytest.fixture
def binary(tmp_path):
    """A binary that does what its input says."""
    return FakeBinary(tmp_path)


@pytest.fixture
def configured(monkeypatch):
    """Sets options of the section [cofferdam]."""

    def configure(**options):
        for option, value in options.items():
            monkeypatch.setenv(f"AIRFLOW__COFFERDAM__{option.upper()}", str(value))

    return configure


@pytest.fixture
def tasks(tmp_path, configured):
    """The file of tasks against which inputs are held."""
    file = tmp_path / "tasks.json"
    file.write_text(documents.TASKS)
    configured(tasks_file=file)
    return file


@pytest.fixture
def logged():
    """What is logged, as structlog sees it."""
    import structlog

    with structlog.testing.capture_logs() as entries:
        yield entries
