"""What pyproject.toml cannot say: the wheel holds the folder spaces/ as `search/spaces`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["lssat*", "search*"]), "search.spaces"],
    package_dir={"search.spaces": "spaces"},
    package_data={
        "lssat": ["py.typed", "model/catalog.json"],
        "lssat.data.prepare.detector": ["centerface.onnx", "LICENSE", "SOURCE.md"],
        "search.page": ["*.j2", "*.css", "*.js"],
        "search.spaces": ["*.yaml", "*.json"],
    },
)
