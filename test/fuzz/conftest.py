import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))


def pytest_collection_modifyitems(items):
    """Random models are of use by their number."""
    for item in items:
        item.add_marker("every")
