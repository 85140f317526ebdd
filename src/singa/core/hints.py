"""What errors about names say: what other libraries name otherwise, and the name of a class."""

from __future__ import annotations

from types import FunctionType
from typing import Any, NoReturn

_CONVERTED = "t.as_type(tensor.{})"

# Importing singa.operation adds the functions of singa.autograd that are no methods.
TENSOR = {
    "backward": "optimizer(loss), or for parameter, gradient in autograd.backward(loss)",
    "grad": "gradients are values: for p, g in autograd.backward(loss), or autograd.grad(loss, p)",
    "grad_fn": "t.creator",
    "requires_grad_": "t.requires_grad = True, and t.stores_grad = True for a parameter",
    "retain_grad": "t.stores_grad = True",
    "zero_grad": "gradients are values, and are not added up: there is nothing to set to zero",
    "numpy": "t.to_numpy()",
    "cpu": 't.to("cpu")',
    "cuda": 't.to("cuda")',
    "type": "t.dtype, or t.as_type(...)",
    "float": _CONVERTED.format("float32"),
    "double": _CONVERTED.format("float64"),
    "half": _CONVERTED.format("float16"),
    "int": _CONVERTED.format("int32"),
    "long": _CONVERTED.format("int64"),
    "bool": _CONVERTED.format("bool_"),
    "view": "t.reshape(...)",
    "permute": "t.transpose(axes)",
    "dim": "t.ndim",
    "numel": "t.size",
    "add_": "t += x",
    "sub_": "t -= x",
    "mul_": "t *= x",
    "div_": "t /= x",
    "zero_": "t.set_value(0)",
    "fill_": "t.set_value(x)",
    "copy_": "t.copy_from(x)",
    "normal_": "t.gaussian(mean, std)",
    "uniform_": "t.uniform(low, high)",
    "mm": "a @ b",
    "bmm": "a @ b",
    "dot": "a @ b",
    "addmm": "a @ b + c, or autograd.gemm(a, b, c)",
    "clamp": "t.clip(min, max)",
    "t": "t.T()",
    "ravel": "t.reshape(-1)",
    "nelement": "t.size",
    "type_as": "t.as_type(x.dtype)",
    "is_leaf": "t.is_dummy()",
    "index_select": "autograd.gather",
    "repeat_interleave": "t.repeat(n, axis)",
    "unbind": "autograd.unstack",
    "movedim": "autograd.moveaxis",
    "gather": "autograd.gather_elements",
    "scatter": "autograd.scatter_elements",
    "det": "linalg.det",
    "inverse": "linalg.inv",
    "svd": "linalg.svd",
    "lgamma": "special.lgamma",
    "digamma": "special.digamma",
    "erfinv": "special.erfinv",
    "multinomial": "random.categorical",
    "chunk": "autograd.split",
}

LAYER = {
    "parameters": "get_params().values()",
    "named_parameters": "get_params().items()",
    "buffers": "get_states().values(), which has the parameters too",
    "state_dict": "get_states(), or singa.weights.save(layer, path)",
    "load_state_dict": "set_states(...), or singa.weights.load(layer, path)",
    "modules": "sublayers()",
    "children": "sublayers()",
    "named_modules": "sublayers()",
    "register_buffer": "register_states(name=tensor)",
    "register_parameter": "an attribute that is a Tensor with stores_grad=True is a parameter",
    "add_module": "register_layers({name: layer})",
    "zero_grad": "gradients are values, and are not added up: there is nothing to set to zero",
    "requires_grad_": "freeze() and unfreeze()",
    "to": "parameters are made where the first input is",
    "cuda": "parameters are made where the first input is",
    "cpu": "parameters are made where the first input is",
    "half": 'model.compile(..., precision="float16")',
    "double": "parameters are of the type of the first input",
    "float": "parameters are of the type of the first input",
    "layers": "sublayers()",
    "named_children": "sublayers()",
    "weights": "get_params()",
    "get_weights": "get_params()",
    "set_weights": "set_params(...)",
    "trainable_variables": "get_params().values()",
    "trainable_weights": "get_params().values()",
    "build": "model.compile([x])",
    "save": "model.save_states(path), or singa.weights.save(model, path)",
    "load": "model.load_states(path), or singa.weights.load(model, path)",
    "save_weights": "singa.weights.save(model, path)",
    "load_weights": "singa.weights.load(model, path)",
    "fit": "singa.train.fit(model, data, epochs)",
    "predict": "model.eval(), then model(x); or singa.train.predict(model, data)",
    "evaluate": "singa.train.evaluate(model, data)",
    "optimizer": "model.set_optimizer(opt.SGD(0.1)) comes first",
    "opt": "model.set_optimizer(opt.SGD(0.1)), which is then model.optimizer",
}

OPTIMIZER = {
    "zero_grad": "gradients are values, and are not added up: there is nothing to set to zero",
    "param_groups": "add_group(params, lr=...)",
    "add_param_group": "add_group(params, lr=...)",
    "learning_rate": "lr",
    "state_dict": "Model.save_states has the optimizer's state too",
    "load_state_dict": "Model.load_states has the optimizer's state too",
    "minimize": "optimizer(loss)",
    "apply_gradients": "update_all(pairs of parameter and gradient)",
}


def no_attribute(owner: object, name: str, hints: dict[str, str]) -> NoReturn:
    """Raise AttributeError, with a hint of what to write instead, if there is one."""
    hint = f": {hints[name]}" if name in hints else ""
    raise AttributeError(
        f"{type(owner).__name__!r} object has no attribute {name!r}{hint}", name=name, obj=owner
    )


def name_init(cls: type) -> None:
    """Give a class of ours an ``__init__`` of its name if it inherits that of a private base.

    Python's messages about arguments name the class that defines it, which users do not know.
    """
    init: Any = cls.__init__  # type: ignore[misc]
    is_ours = cls.__module__.startswith("singa.") and not cls.__name__.startswith("_")
    if not is_ours or not isinstance(init, FunctionType) or not init.__qualname__.startswith("_"):
        return
    own = FunctionType(
        init.__code__, init.__globals__, init.__name__, init.__defaults__, init.__closure__
    )
    own.__kwdefaults__, own.__annotations__ = init.__kwdefaults__, init.__annotations__
    own.__doc__, own.__module__ = init.__doc__, init.__module__
    own.__qualname__ = f"{cls.__qualname__}.__init__"
    cls.__init__ = own  # type: ignore[misc]
