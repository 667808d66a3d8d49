"""What a node says of a storage that it cannot use. That nodes are asked at all: `test_cluster_run.py`."""

import pytest
from ray._private.utils import check_version_info

from lssat.storage.place import Place
from search.study.cluster import look_for_probes, why_not_joined, write_probe


@pytest.mark.parametrize("what", ["nothing", "a file"])
def test_a_node_that_cannot_write_says_why(tmp_path, what):
    if what == "a file":
        (tmp_path / "probe").touch()
    assert write_probe(Place.of(tmp_path / "probe"), "n1", ["n1"]).startswith("it cannot write there: N")


def test_nodes_that_write_to_folders_of_their_own_do_not_see_each_other(tmp_path):
    nodes = ["n1", "n2", "n3"]
    for node in nodes:
        folder = tmp_path / ("own" if node == "n3" else "shared")
        folder.mkdir(exist_ok=True)
        assert write_probe(Place.of(folder), node, nodes) == ""
    assert look_for_probes(Place.of(tmp_path / "shared"), "n1", nodes) == "it does not see what 1 nodes write"
    assert look_for_probes(Place.of(tmp_path / "own"), "n3", nodes) == "it does not see what 2 nodes write"
    assert look_for_probes(Place.of(tmp_path / "shared"), "n1", nodes[:2]) == ""


def test_a_cluster_of_another_python_is_said_to_be_that():
    """In Ray's own words, which name both versions; its first line alone would not."""
    with pytest.raises(RuntimeError) as raised:
        check_version_info({"ray_version": "2.60.0", "python_version": "3.12.1"}, "node 10.0.0.1")
    said = why_not_joined("auto", raised.value)
    assert "Python: 3.12.1" in said
    assert "one version of Python" in said
    assert "\n" not in said
