"""``python -m singa`` is the command ``singa``, of this Python."""

from singa.cli import main

main()
