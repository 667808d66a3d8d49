"""The list of backbones holds the catalogue and fits a terminal of 80 columns."""

from lssat.model import catalog
from search.command_line.backbones import backbone_table


def test_the_list_has_a_line_per_family_and_its_parameters_under_their_sizes():
    head, *lines = backbone_table().splitlines()
    assert all(len(line) <= 80 for line in [head, *lines])
    for family, sizes in catalog.read().items():
        (line,) = (line for line in lines if line.split()[:1] == [family])
        for size, entry in sizes.items():
            end = head.index(f" {size}") + 1 + len(size)
            assert abs(float(line[end - 7 : end]) - entry["params"] / 1e6) <= 0.5
        assert len(line.split()) == 1 + len(sizes)
