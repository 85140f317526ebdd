"""Model: a layer with its own training step, which is compiled into one program."""

from singa.model.model import Model, ModelMeta

__all__ = ["Model", "ModelMeta"]
