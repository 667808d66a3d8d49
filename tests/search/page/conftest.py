"""A finished study and its data, which tests read, or copy before they change them."""

import pytest

from tests.search.studies import Made, faces, study


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a study with a winner."""
    folder = tmp_path_factory.mktemp("page")
    return study(folder / "results" / "moods", Made(), faces(folder, Made())).path
