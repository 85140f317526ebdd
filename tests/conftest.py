import os

from hypothesis import settings

# Before singa is imported: what a test compiles is compiled, and the user's cache is left alone.
os.environ["SINGA_CACHE"] = "0"

# No deadline: whichever example compiles a kernel first takes a hundred times longer than the
# next. In CI the examples are the same in every run, so that a red run is about its change.
settings.register_profile("singa", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("singa")
