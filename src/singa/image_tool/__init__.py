"""Images for training."""

from singa.image_tool.images import *
