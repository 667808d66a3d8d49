"""The study without a fault, which those with one are compared to."""

import pytest

from tests.faults.study import Command, curves, outcomes, run_folder, words


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Its curves."""
    folder = tmp_path_factory.mktemp("undisturbed")
    command = Command.begin(words(folder), folder)
    assert command.end() == 0, command.text
    assert [each["status"] for each in outcomes(run_folder(folder)).values()] == ["complete"] * 3
    return curves(run_folder(folder))
