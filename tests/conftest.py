import os
import tempfile

from hypothesis import settings

# Before singa is imported: the user's cache is left alone. The processes of a run share one of
# their own, for many tests compile the same.
if "PYTEST_XDIST_WORKER" not in os.environ:
    compiled = tempfile.TemporaryDirectory(prefix="singa-tests-")
    os.environ["SINGA_CACHE_DIR"] = compiled.name

# No deadline: whichever example compiles a kernel first takes a hundred times longer than the
# next. In CI the examples are the same in every run, so that a red run is about its change.
settings.register_profile("singa", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("singa")

from singa.tape.kernel import table  # noqa: E402 - after the environment is set

# The tests draw many shapes, which come again and again in other tests.
table.least = table.limit = 1000
