"""What a node says of a storage that it cannot use. That nodes are asked at all: `test_cluster_run.py`."""

import pytest

from search.study.cluster import look_for_probes, write_probe


@pytest.mark.parametrize("what", ["nothing", "a file"])
def test_a_node_that_cannot_write_says_why(tmp_path, what):
    if what == "a file":
        (tmp_path / "probe").touch()
    assert write_probe(tmp_path / "probe", "n1", ["n1"]).startswith("it cannot write there: N")


def test_nodes_that_write_to_folders_of_their_own_do_not_see_each_other(tmp_path):
    nodes = ["n1", "n2", "n3"]
    for node in nodes:
        folder = tmp_path / ("own" if node == "n3" else "shared")
        folder.mkdir(exist_ok=True)
        assert write_probe(folder, node, nodes) == ""
    assert look_for_probes(tmp_path / "shared", "n1", nodes) == "it does not see what 1 nodes write"
    assert look_for_probes(tmp_path / "own", "n3", nodes) == "it does not see what 2 nodes write"
    assert look_for_probes(tmp_path / "shared", "n1", nodes[:2]) == ""
