import os

from hypothesis import settings

# No deadline: whichever example compiles a kernel first takes a hundred times longer than the
# next. In CI the examples are the same in every run, so that a red run is about its change.
settings.register_profile("singa", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("singa")
